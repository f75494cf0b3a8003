#!/bin/sh
# Annotate the frame where the object is seen best, segment both ways from there.
#   examples/segment_from_the_middle.sh FRAMES_OR_VIDEO MASK.png FRAME OUTPUT
set -eu
vosseg propagate "$1" --mask "$2" --at "$3" --direction both -o "$4"
