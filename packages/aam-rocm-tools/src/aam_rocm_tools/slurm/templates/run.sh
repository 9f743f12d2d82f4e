#!/bin/bash
@@sbatch

@@prepare

@@{meeting}run=@@run
aam=(
@@aam
)

@@steps

@@launch

before=$(saved_steps "$run")
launch "${aam[@]}"
status=$?

@@requeue
