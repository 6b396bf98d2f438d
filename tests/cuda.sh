#!/bin/sh
# cuda.sh - the backend cuda without a GPU: cuda.sh FOLDER-OF-PROGRAMS [--long]
#
# The sources of src/cuda/ compiled as C++ for the device of tests/cuda_emulated/, which BUILD_FOLDER/cuda/ holds
# (`make cuda-emulated`).  Every slot must give the bits of the reference, with the threads of a block in more than
# one order.  --long: in more orders; gradients; steps of nets with the hashes of the backend cpu; what a device that
# is missing, full or failing makes of a run.
. tests/lib.sh

FOLDER=${BUILD_FOLDER:-build/release}/cuda
PLUGIN=$FOLDER/libcuda_emulated.so
LIMIT=${LIMIT:-600}
case $PLUGIN in /*) ;; *) PLUGIN=./$PLUGIN ;; esac
if [ ! -f "$PLUGIN" ]; then
    skip "cuda on the emulated device: there is no C++ compiler, or make cuda-emulated has not run"
    echo "0 passed, 0 failed, 1 skipped"
    exit
fi

# judges NAME ORDER: all cases, each with the reference's bits.
judges() {
    run env RN_EMULATED_ORDER="$2" "$BIN/conform" --backend "$PLUGIN" --check-golden "$T/pack"
    verdict=$(tail -n 1 "$T/out")
    if [ $status = 0 ] && echo "$verdict" | grep -qE ': ([0-9]+) cases, \1 same, 0 legal, 0 failed$'; then pass "$1"
    else fail "$1" "exit $status: $verdict $(why)"; fi
}

# steps FILE BACKEND FLAG...: the hash lines of two steps, threads and blocks in reverse order.
steps() {
    file=$1 backend=$2; shift 2
    run env RN_EMULATED_RIGHTS=open RN_EMULATED_ORDER=reverse "$BIN/train" --data demo --hash --quiet --seed 7 --max-steps 2 \
        --limit-val 2 --backend "$backend" --output "$T/run" --overwrite "$@"
    if [ $status = 0 ]; then grep '^step ' "$T/out" >"$file"; else : >"$file"; fi
}

# alike NAME FLAG...
alike() {
    name=$1; shift
    steps "$T/want" cpu "$@"
    steps "$T/got" "$PLUGIN" "$@"
    same "$name" "$T/want" "$T/got"
}

works "a golden pack" "$BIN/conform" --write-golden "$T/pack" --quiet
judges "cuda, emulated: every slot" forward
judges "cuda, emulated: threads and blocks in reverse order" reverse
if [ "${2:-}" != --long ]; then
    finish
    exit
fi

for order in 1 2 3; do judges "cuda, emulated: shuffled, $order" $order; done
works "cuda, emulated: gradients" "$BIN/conform" --grad --backend "$PLUGIN"
alike "cuda, emulated: resnet18" --arch resnet18 --batch-size 5
alike "cuda, emulated: resnet18 in parts, smoothing, clipping" --arch resnet18 --stem cifar-pool --batch-size 3 \
    --grad-accum-steps 2 --label-smoothing 0.1 --clip-grad-norm 1
alike "cuda, emulated: resnext50, AdamW" --arch resnext50_32x4d --stem cifar-pool --batch-size 2 --opt adamw
alike "cuda, emulated: more classes than a block has threads" --arch resnet18 --num-classes 300 --batch-size 2 \
    --max-steps 1
alike "cuda, emulated: more groups than a block has rows" --arch resnet18 --batch-size 36 --max-steps 1
alike "cuda, emulated: a deep stem, upsampled" --arch resnet18 --stem deep --batch-size 2 --upsample 48 --nesterov

# What a run says of a device that is not there, full, or failing; the backend is built into this program.
small="$FOLDER/train --data demo --arch resnet18 --stem cifar-pool --quiet --batch-size 2 --max-steps 2 --limit-val 2
    --backend cuda --output $T/failed --overwrite"
refuses "no driver" 1 'no NVIDIA driver' env RN_EMULATED_DRIVER=0 $small
refuses "no device" 1 'no CUDA device' env RN_EMULATED_DEVICES=0 $small
refuses "numerics that cuda has not" 2 'it has: fp32' $small --numerics fast
refuses "an instruction set" 2 "the GPU's own" $small --isa avx2
refuses "a full device" 4 'out of memory' env RN_EMULATED_MEMORY=60 $small
refuses "a device that fails at the start" 1 'cannot be used' env RN_EMULATED_FAIL_AT=1 $small
refuses "a device that fails in a step" 1 'the CUDA device failed before' env RN_EMULATED_RIGHTS=open \
    RN_EMULATED_FAIL_AT=200 $small
finish
