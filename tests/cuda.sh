#!/bin/sh
# cuda.sh - the backend cuda without a GPU: cuda.sh FOLDER-OF-PROGRAMS [--long]
#
# The sources of src/cuda/ compiled as C++ for the device of tests/cuda_emulated/, which BUILD_FOLDER/cuda/ holds
# (`make cuda-emulated`).  Every slot must give the bits of the reference, with the threads of a block in more than
# one order.  --long: in more orders; gradients; steps of nets with the hashes of the backend cpu; what a device that
# is missing, full or failing makes of a run.  The numerics `fast` runs there with stand-ins for cuDNN and cuBLAS: its
# gradients against double, and with --long steps with and without CUDA graphs, an overflow, and what it refuses.
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

run "$FOLDER/strict"
mistakes="the emulated device finds mistakes, and the backend waits for a failed device"
if [ $status = 0 ]; then pass "$mistakes"; else fail "$mistakes" "exit $status: $(grep FAIL "$T/out" | head -n 1) $(why)"; fi
works "a golden pack" "$BIN/conform" --write-golden "$T/pack" --quiet
judges "cuda, emulated: every slot" forward
judges "cuda, emulated: threads and blocks in reverse order" reverse
for numerics in fast fast-fp16 fast-bf16; do
    works "cuda, emulated: gradients, $numerics" "$FOLDER/conform" --grad --backend cuda --numerics $numerics
done
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
refuses "numerics that cuda has not" 2 'it has: fp32 fast' $small --numerics int8
refuses "bf16 before sm_80" 2 'the GPU is sm_75' env RN_EMULATED_CAPABILITY=75 $small --amp bf16
refuses "two words about precision" 2 'exclude each other' $small --amp fp16 --numerics fast-bf16
refuses "an instruction set" 2 "the GPU's own" $small --isa avx2
refuses "a full device" 4 'out of memory' env RN_EMULATED_MEMORY=60 $small
refuses "a device that fails at the start" 1 'cannot be used' env RN_EMULATED_FAIL_AT=1 $small
refuses "a device that fails in a step" 1 'the CUDA device failed before' env RN_EMULATED_RIGHTS=open \
    RN_EMULATED_FAIL_AT=200 $small
refuses "a library that fails" 1 'CUDNN_STATUS_EXECUTION_FAILED' env RN_EMULATED_RIGHTS=open RN_EMULATED_FAIL_AT=4 $small \
    --numerics fast

# fast FILE SETTING...: the hash lines of three steps of the numerics fast, with --json on stderr; $T/out has the summary,
# $T/err what was counted, too.
fast() {
    file=$1; shift
    run env RN_EMULATED_RIGHTS=open RN_EMULATED_COUNT=yes "$@" "$FOLDER/train" --data demo --arch resnet18 --stem cifar-pool \
        --quiet --batch-size 2 --max-steps 3 --limit-val 2 --hash --json --output "$T/fast" --overwrite --backend cuda $flags
    if [ $status = 0 ]; then grep '^step ' "$T/err" >"$file"; else : >"$file"; fi
}

# shows NAME FILE PATTERN
shows() {
    if grep -qE "$3" "$2"; then pass "$1"; else fail "$1" "no '$3' in: $(tail -n 30 "$2" | tr '\n' ' ')"; fi
}

flags='--numerics fast'
fast "$T/graphs" RESNET_CUDA_GRAPHS=yes
shows "fast: a step is one graph, captured once and then replayed" "$T/err" '1 captures, 2 graph launches'
fast "$T/plain" RESNET_CUDA_GRAPHS=no
shows "fast: without graphs none is captured" "$T/err" '0 captures, 0 graph launches'
same "fast: graphs give the bits of plain launches" "$T/plain" "$T/graphs"
fast "$T/refused" RN_EMULATED_CAPTURE=refuse
same "fast: what cannot be captured is launched" "$T/plain" "$T/refused"
shows "fast: and that is said" "$T/out" '"isa": "sm_90, without CUDA graphs: operation failed'
fast "$T/late" RN_EMULATED_CAPTURE=late
same "fast: a graph that cannot be made is no graph, whatever was written for it" "$T/plain" "$T/late"

# The loss of the steps beside the exact one.
exact=$("$BIN/train" --data demo --arch resnet18 --stem cifar-pool --quiet --batch-size 2 --max-steps 3 --limit-val 2 --json \
    --output "$T/exact" --overwrite 2>/dev/null | sed -n 's/.*"train_loss": \([0-9.]*\).*/\1/p')
# near NAME BOUND: the summary's loss.
near() {
    got=$(sed -n 's/.*"train_loss": \([0-9.]*\).*/\1/p' "$T/out")
    if awk "BEGIN { d = ${got:-9} - ${exact:-0}; exit !(d < $2 && d > -$2) }"; then pass "$1"
    else fail "$1" "loss $got, exact $exact"; fi
}
near "fast: three steps lose what the exact ones lose" 0.001
flags='--amp bf16'
fast "$T/bf16" RESNET_CUDA_GRAPHS=yes
near "fast-bf16: three steps" 0.05
flags='--amp fp16 --loss-scale-init 256' # the gradients of two images overflow at 65536
fast "$T/fp16" RESNET_CUDA_GRAPHS=yes
near "fast-fp16: three steps" 0.05
shows "fast-fp16: no step was skipped" "$T/out" '"skipped_steps": 0'
shows "fast-fp16: a step is one graph, the scaling of the loss in it" "$T/err" '1 captures, 2 graph launches'
flags='--amp fp16 --loss-scale-init 2^100'
fast "$T/overflow" RESNET_CUDA_GRAPHS=yes
shows "fast-fp16: an overflow costs a step its update" "$T/out" '"skipped_steps": 3'
finish
