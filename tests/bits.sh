#!/bin/sh
# bits.sh - equal inputs give equal bits: bits.sh FOLDER-OF-PROGRAMS [--write]
#
# Runs of a few steps under every thread count, every instruction set that this machine has, both forms of
# convolution and both backends; their step hashes must be the same lines.  A run of 20 steps must have
# the hashes of tests/golden/train.txt; --write writes that file anew and shows what changed.
. tests/lib.sh

golden=tests/golden/train.txt
n=0

# steps FILE [NAME=VALUE ...] -- FLAG...: the hash lines of a run on the built-in data.
steps() {
    file=$1; shift
    settings=
    while [ "$1" != -- ]; do settings="$settings $1"; shift; done
    shift
    n=$((n + 1))
    run env $settings "$BIN/train" --data demo --arch resnet18 --hash --quiet --seed 7 \
        --output "$T/run$n" "$@"
    if [ $status = 0 ]; then grep '^step ' "$T/out" >"$file"; else : >"$file"; fi
}
# Two steps of six images; and one of two, for what is slow: portable C and the naive loops take seconds.
small() { file=$1; shift; steps "$file" "$@" -- --stem cifar-pool --batch-size 6 --max-steps 2 --limit-val 4; }
tiny() { file=$1; shift; steps "$file" "$@" --stem cifar-pool --batch-size 2 --max-steps 1 --limit-val 1; }
long() {
    steps "$1" -- --stem cifar-pool --batch-size 16 --max-steps 20 --limit-train 128 --limit-val 8 \
        --lr 0.01 --momentum 0.9 --weight-decay 0.0005 --label-smoothing 0.1 --augment crop:4,flip
}

if [ "${2:-}" = --write ]; then
    long "$T/now"
    [ "$(wc -l <"$T/now")" -eq 20 ] || { echo "the run failed, $golden stays: $(why)"; exit 1; }
    {
        echo "# 20 steps on the built-in data, as tests/bits.sh runs them; written by make golden."
        cat "$T/now"
    } >"$T/golden"
    [ -f "$golden" ] && diff "$golden" "$T/golden" && echo "$golden: unchanged" && exit 0
    mkdir -p "${golden%/*}" && cp "$T/golden" "$golden" || exit 1
    echo "$golden: written; a change belongs into CHANGELOG.md, marked [bits]"
    exit 0
fi

small "$T/one" OMP_NUM_THREADS=1
for threads in 2 3 6 8; do
    small "$T/many" OMP_NUM_THREADS=$threads
    same "$threads threads" "$T/one" "$T/many"
done
small "$T/many" RESNET_CONV=im2col
same "convolution as im2col and one product" "$T/one" "$T/many"
tiny "$T/two" --
for isa in portable avx2 avx512 neon; do
    tiny "$T/many" RESNET_ISA=$isa --
    if [ $status = 2 ]; then skip "$isa: $(why)"; else same "instruction set $isa" "$T/two" "$T/many"; fi
done
tiny "$T/many" -- --backend ref
same "backend ref" "$T/two" "$T/many"
steps "$T/many" -- --stem cifar-pool --batch-size 6 --max-steps 2 --limit-val 4 --seed 8
if [ "$(tail -n 1 "$T/many")" != "$(tail -n 1 "$T/one")" ]; then pass "another seed, other bits"
else fail "another seed, other bits" "$(head -n 1 "$T/many")"; fi

if [ -f $golden ]; then
    grep '^step ' $golden >"$T/golden"
    long "$T/now"
    same "20 steps as in $golden" "$T/golden" "$T/now"
else
    fail "20 steps as in $golden" "no such file; make golden writes it"
fi
finish
