#!/bin/sh
# Count and outline the nuclei of every image, large slides in tiles, and list the images with the most.
#   examples/count_nuclei.sh IMAGES OUTPUT
set -eu
vosseg instance "$1" -o "$2" --tile 1024 --overlap 128 --save masks,coco,overlay
tail -n +2 "$2/instances.csv" | cut -d, -f1 | sort | uniq -c | sort -rn | head
