#!/bin/sh
# demo.sh - what `make demo` does: demo.sh FOLDER-OF-PROGRAMS.  Trains on the built-in data, then
# evaluates the best checkpoint.
set -eu
bin=$1
run=runs/demo number=2
while [ -e "$run" ]; do
    run=runs/demo-$number
    number=$((number + 1))
done

"$bin/train" --output "$run"
best=$(ls "$run"/checkpoints/*_best.pth | head -n 1)
echo
"$bin/evaluate" --checkpoint "$best" --data demo
echo
echo "The run is in $run (curves.png shows the curves where cairo is installed, results.csv has a line an epoch):"
for file in "$run"/* "$run"/checkpoints/*; do
    if [ -f "$file" ]; then echo "  $file"; fi
done
