#!/bin/sh
# Segment a clip from the mask of its first frame; overlay pictures and a video to look at.
#   examples/segment_clip.sh FRAMES_OR_VIDEO MASK.png OUTPUT
set -eu
vosseg propagate "$1" --mask "$2" --save masks,overlay,video -o "$3"
