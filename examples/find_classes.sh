#!/bin/sh
# Find the classes of a few annotated images in all others, and the objects cut out of their background.
#   examples/find_classes.sh IMAGES ANNOTATED OUTPUT
set -eu
vosseg fewshot "$1" --support "$2" --save masks,overlay,cutouts -o "$3"
grep ',yes$' "$3/confidence.csv" | sort -t, -k5 -n | head
