# 85: stopped by SIGUSR1, @@signal_seconds seconds before the time limit, after saving. The job is requeued to continue
# the run, unless the run made no progress: then it never would.
if [[ $status -eq 85 ]]; then
  after=$(saved_steps "$run")
  if ((after > before)); then
    echo "saved at step $after (was $before): requeued"
    scontrol requeue "$SLURM_JOB_ID"
  else
    echo "no progress beyond step $before: not requeued" >&2
  fi
fi
exit "$status"
