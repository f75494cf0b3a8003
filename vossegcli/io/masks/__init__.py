"""Read and write masks: label maps, palettes, mask trees."""
