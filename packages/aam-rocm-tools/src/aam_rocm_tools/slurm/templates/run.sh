#!/bin/bash
@@sbatch

@@prepare

@@{meeting}run=@@run
aam=(
@@aam
)

@@launch

@@requeue
