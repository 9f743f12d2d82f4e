#!/bin/bash
@@sbatch

@@prepare

# This run's line of options; words are separated by blanks, quotes have no meaning.
settings=@@settings
read -r -a line < <(sed -n "${SLURM_ARRAY_TASK_ID}p" "$settings")
if [[ ${#line[@]} -eq 0 ]]; then
  echo "$settings has no line $SLURM_ARRAY_TASK_ID" >&2
  exit 2
fi

run=@@run/$SLURM_ARRAY_TASK_ID
aam=(
@@aam
  --output-dir "$run"
  "${line[@]}"
)

@@steps

@@launch

before=$(saved_steps "$run")
launch "${aam[@]}"
status=$?

@@requeue
