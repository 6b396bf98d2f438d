# runs.sh - sourced by the scripts beside it: the small runs that they look at.
. tests/lib.sh

# A small run into $T/NAME: run_small NAME FLAG...
run_small() {
    name=$1; shift
    run "$BIN/train" --data demo --arch resnet18 --stem cifar-pool --batch-size 8 --max-steps 2 \
        --limit-train 32 --limit-val 16 --quiet --output "$T/$name" "$@"
}

# done_with NAME...: makes room, for a run leaves 170 MB.
done_with() { for name; do rm -rf "$T/$name"; done; }

# One of two classes into $T/NAME: run_two NAME
run_two() {
    run "$BIN/train" --data demo:64 --arch resnet18 --stem imagenet --batch-size 4 --max-steps 1 --limit-train 8 \
        --limit-val 8 --quiet --output "$T/$1"
}

# The last checkpoint of the run $T/NAME: checkpoint_of NAME
checkpoint_of() { ls "$T/$1"/checkpoints/*_last.pth 2>/dev/null | head -n 1; }
