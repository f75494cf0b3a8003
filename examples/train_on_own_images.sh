#!/bin/sh
# Go on training the embedded checkpoint on your own images with object masks, then use the result.
#   examples/train_on_own_images.sh COCO.json OUTPUT
set -eu
vosseg train afb-urr --data "$1" --config examples/training/afb-urr-finetune.toml --init afb-urr-compact -o "$2"
echo "use it with: vosseg propagate ... --checkpoint $2/model.safetensors"
