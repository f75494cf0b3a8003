"""Write results: COCO results, RLE, overlays."""
