#!/bin/bash
@@sbatch

@@prepare

run=@@run
aam=(
@@aam
)

@@steps

@@launch

before=$(saved_steps "$run")
launch "${aam[@]}"
status=$?

@@requeue
