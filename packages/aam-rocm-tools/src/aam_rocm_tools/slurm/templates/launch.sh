# Number of saved steps of the run, over all folds of a cross-validation; 0 if nothing is saved yet.
saved_steps() {
  local folder path step newest total=0
  for folder in "$1"/checkpoints "$1"/fold-*/checkpoints; do
    newest=0
    for path in "$folder"/step-*; do
      step=${path##*/step-}
      step=${step%%-*}
      if [[ $step =~ ^[0-9]+$ ]] && ((step > newest)); then newest=$step; fi
    done
    ((total += newest))
  done
  echo "$total"
}

# Start of each task: its rank in the variables of torchrun, and a folder for its caches.
task=$(
  cat <<'TASK'
export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS
export LOCAL_RANK=$SLURM_LOCALID LOCAL_WORLD_SIZE=$SLURM_NTASKS_PER_NODE
mkdir -p "$cache"
exec "$@"
TASK
)
# One task per device. All tasks stop when they are signalled or when one of them is lost; the first one may run longer
# than the others, to write the report (--wait=0).
launch() {
  local status=0
  srun --cpus-per-task="$cpus" --wait=0 bash -c "$task" task "$@" || status=$?
  srun --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 rm -rf -- "$cache"
  return "$status"
}

before=$(saved_steps "$run")
launch "${aam[@]}"
status=$?
