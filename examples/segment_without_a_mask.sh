#!/bin/sh
# Segment a clip without drawing: find all things in its first frame, choose some by their numbers, follow them.
#   examples/segment_without_a_mask.sh FRAMES OUTPUT        then look at OUTPUT/things/overlay
#   examples/segment_without_a_mask.sh FRAMES OUTPUT 2,5    follows the things 2 and 5
set -eu
first=$(find "$1" -maxdepth 1 -type f ! -name '.*' | sort -V | head -n 1)
name=$(basename "${first%.*}")
test -e "$2/things/coco.json" ||
vosseg instance "$first" --checkpoint b2inst-objects --save coco,overlay -o "$2/things"
echo "choose by number: $2/things/overlay/$name.jpg"
test $# -ge 3 || exit 0
vosseg propagate "$1" --mask "$2/things/coco.json" --objects "$3" --save masks,overlay,video -o "$2/masks"
