@@environment
set -u

# The node's local disk: kernel caches on a shared file system are slow, and every rank would write the same files.
local_disk=@@local_disk
export cache=$local_disk/aam-cache-$SLURM_JOB_ID
@@caches
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
