#!/bin/sh
# Run, look at the frames that the tool doubts, draw masks for some of them into MASKS, run again: all masks count.
#   examples/correct_drift.sh FRAMES MASKS OUTPUT
set -eu
vosseg propagate "$1" --mask "$2" --use-masks all -o "$3"
grep ',yes$' "$3/confidence.csv" | sort -t, -k7,7 -n | head
