#!/bin/sh
# All sequences of a DAVIS, YouTube-VOS or Long-Video root; run it again after a crash and it goes on.
#   examples/segment_data_set.sh ROOT OUTPUT
set -eu
vosseg propagate "$1" --dry-run -o "$2"
vosseg propagate "$1" -o "$2" --json > "$2.summary.json"
