# What each task does first: its rank in the words of torchrun, and a place for its caches.
task=$(
  cat <<'TASK'
export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS
export LOCAL_RANK=$SLURM_LOCALID LOCAL_WORLD_SIZE=$SLURM_NTASKS_PER_NODE
mkdir -p "$cache"
exec "$@"
TASK
)
# A task for each device. All stop by themselves when they are told to, or when one of them is lost; the first one may
# stay longer than the others, to write the report (--wait=0).
launch() {
  local status=0
  srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --wait=0 bash -c "$task" task "$@" || status=$?
  srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 rm -rf -- "$cache"
  return "$status"
}
