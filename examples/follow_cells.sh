#!/bin/sh
# Follow the nuclei of a time-lapse series, draw them with their identities, list the tracks that last longest.
#   examples/follow_cells.sh FRAMES_OR_VIDEO OUTPUT
set -eu
vosseg track "$1" --save masks,coco,overlay,video -o "$2"
tail -n +2 "$2/tracks.csv" | sort -t, -k7 -n -r | head
