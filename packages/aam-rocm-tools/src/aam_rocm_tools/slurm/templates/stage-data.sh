#!/bin/bash
@@sbatch

@@prepare

results=$(realpath -m -- @@results)
aam=(
@@aam
)
run=@@run

# Stage in: the files, and the results of an earlier start of this job. Paths are relative, so that they are the same on
# the next node.
stage=$local_disk/aam-$SLURM_JOB_ID
mkdir -p "$stage" "$results"
cp -rL -- @@staged "$stage"/ || exit 2
if [[ -d $results/$run ]]; then cp -a -- "$results/$run" "$stage"/; fi
cd "$stage" || exit 2

@@launch

# Stage out: copy next to the old results, then replace them, so that an interrupted copy does no harm.
if [[ -d $run ]]; then
  rm -rf -- "$results/.$run.new"
  if cp -a -- "$run" "$results/.$run.new" && rm -rf -- "${results:?}/$run"; then
    mv -- "$results/.$run.new" "$results/$run"
  else
    echo "the run could not be copied to $results" >&2
    exit 1
  fi
fi
cd "$SLURM_SUBMIT_DIR" && rm -rf -- "$stage"
run=$results/$run

@@requeue
