#!/bin/bash
@@sbatch

@@prepare

# Options of this run, from its line: words are separated by blanks, quotes have no meaning.
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

@@launch

@@requeue
