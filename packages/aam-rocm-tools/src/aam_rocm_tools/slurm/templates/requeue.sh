# 85: told by SIGUSR1, @@signal_seconds seconds before the end of the job's time, to save and stop. The run goes on in
# the queue, unless it has not moved forward: then it never would.
if [[ $status -eq 85 ]]; then
  after=$(saved_steps "$run")
  if ((after > before)); then
    echo "saved at step $after (it was $before): queued again"
    scontrol requeue "$SLURM_JOB_ID"
  else
    echo "no step further than $before: not queued again" >&2
  fi
fi
exit "$status"
