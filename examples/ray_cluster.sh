#!/bin/sh
# All sequences of a root on a Ray cluster whose machines have this package and see ROOT and OUTPUT under these paths.
# Once, on the head: ray start --head --include-dashboard=false; on the others: ray start --address HEAD:6379
#   examples/ray_cluster.sh ROOT OUTPUT HEAD:6379
set -eu
vosseg propagate "$1" -o "$2" --engine ray --address "$3"
