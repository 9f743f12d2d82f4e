#!/bin/bash
@@sbatch

@@prepare

# Options of this run, from its line: words are separated by blanks, quotes have no meaning. The
# carriage return of a file from Windows is a blank too.
settings=@@settings
IFS=$' \t\r' read -r -a line < <(sed -n "${SLURM_ARRAY_TASK_ID}p" < "$settings")
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

@@launch

@@requeue
