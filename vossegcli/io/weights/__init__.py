"""Read and write weights: checkpoints, published files, pre-trained backbones."""
