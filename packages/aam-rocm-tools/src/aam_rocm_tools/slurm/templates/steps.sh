# Steps that the run has saved, over all folds of a cross-validation; 0 when there is nothing yet.
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
