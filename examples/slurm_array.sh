#!/bin/sh
#SBATCH --array=1-8 --cpus-per-task=4 --time=08:00:00 --signal=B:TERM@60 --requeue
# All sequences of a root on a SLURM cluster, an eighth a task; submit it again after a failure and it goes on.
#   sbatch examples/slurm_array.sh ROOT OUTPUT
set -eu
exec vosseg propagate "$1" -o "$2" --shard "${SLURM_ARRAY_TASK_ID:-1}/${SLURM_ARRAY_TASK_COUNT:-1}" -q
