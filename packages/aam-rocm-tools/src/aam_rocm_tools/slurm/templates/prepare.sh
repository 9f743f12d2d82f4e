@@environment
set -u

# The node's local disk: kernel caches on a shared file system are slow, and every rank would write the same files.
local_disk="@@local_disk"
export cache=$local_disk/aam-cache-$SLURM_JOB_ID
@@caches
# Cores of a task: those asked for, or its part of those that the job got on this node.
cpus=${SLURM_CPUS_PER_TASK:-$((SLURM_CPUS_ON_NODE / SLURM_NTASKS_PER_NODE))}
export OMP_NUM_THREADS=$cpus
