#!/bin/sh
# bits.sh - equal inputs give equal bits: bits.sh FOLDER-OF-PROGRAMS [--write]
#
# Under each numerics, runs of a few steps with several thread counts, every instruction set that this
# machine has, both forms of direct convolution and both backends; their step hashes must be the same
# lines.  A run of 20 steps must have the hashes of tests/golden/train.txt, train-winograd.txt or
# train-bf16.txt; --write writes those files anew and shows what changed.
. tests/lib.sh

n=0
numerics=fp32

# steps FILE [NAME=VALUE ...] -- FLAG...: the hash lines of a run on the built-in data.
steps() {
    file=$1; shift
    settings=
    while [ "$1" != -- ]; do settings="$settings $1"; shift; done
    shift
    n=$((n + 1))
    run env $settings "$BIN/train" --data demo --arch resnet18 --hash --quiet --seed 7 \
        --numerics $numerics --output "$T/run$n" "$@"
    if [ $status = 0 ]; then grep '^step ' "$T/out" >"$file"; else : >"$file"; fi
}
# Two steps of six images; and one of two, for what is slow: portable C and the naive loops take seconds.
small() { file=$1; shift; steps "$file" "$@" --stem cifar-pool --batch-size 6 --max-steps 2 --limit-val 4; }
tiny() { file=$1; shift; steps "$file" "$@" --stem cifar-pool --batch-size 2 --max-steps 1 --limit-val 1; }
long() {
    steps "$1" -- --stem cifar-pool --batch-size 16 --max-steps 20 --limit-train 128 --limit-val 8 \
        --lr 0.01 --momentum 0.9 --weight-decay 0.0005 --label-smoothing 0.1 --augment crop:4,flip
}

# The golden file of the numerics in force.
golden() {
    case $numerics in
    fp32) echo tests/golden/train.txt ;;
    *) echo "tests/golden/train-${numerics#fp32-}.txt" ;;
    esac
}

# 20 steps, into the golden file.
write_golden() {
    record=$(golden)
    long "$T/now"
    [ "$(wc -l <"$T/now")" -eq 20 ] || { echo "the run failed, $record stays: $(why)"; exit 1; }
    {
        echo "# 20 steps on the built-in data, as tests/bits.sh runs them; written by make golden."
        [ $numerics = fp32 ] || echo "# --numerics $numerics"
        cat "$T/now"
    } >"$T/golden"
    [ -f "$record" ] && diff "$record" "$T/golden" && { echo "$record: unchanged"; return; }
    mkdir -p "${record%/*}" && cp "$T/golden" "$record" || exit 1
    echo "$record: written; a change belongs into CHANGELOG.md, marked [bits]"
}

if [ "${2:-}" = --write ]; then
    for numerics in fp32 fp32-winograd bf16; do write_golden; done
    exit 0
fi

# check_machine THREADS...: against one thread; each instruction set and the naive loops against the best.
check_machine() {
    small "$T/one.$numerics" OMP_NUM_THREADS=1 --
    for threads in "$@"; do
        small "$T/many" OMP_NUM_THREADS=$threads --
        same "$numerics: $threads threads" "$T/one.$numerics" "$T/many"
    done
    tiny "$T/two" --
    for isa in portable avx2 avx512 amx neon; do
        tiny "$T/many" RESNET_ISA=$isa --
        if [ $status = 2 ]; then skip "$isa: $(why)"
        else same "$numerics: instruction set $isa" "$T/two" "$T/many"; fi
    done
    tiny "$T/many" -- --backend ref
    same "$numerics: backend ref" "$T/two" "$T/many"
}

check_golden() {
    record=$(golden)
    if [ -f "$record" ]; then
        grep '^step ' "$record" >"$T/golden"
        long "$T/now"
        same "$numerics: 20 steps as in $record" "$T/golden" "$T/now"
    else
        fail "$numerics: 20 steps as in $record" "no such file; make golden writes it"
    fi
}

# differ NAME FILE FILE: other bits in the last step.
differ() {
    if [ -s "$2" ] && [ -s "$3" ] && [ "$(tail -n 1 "$2")" != "$(tail -n 1 "$3")" ]; then pass "$1"
    else fail "$1" "$(tail -n 1 "$3")"; fi
}

check_machine 2 3 6 8
small "$T/many" RESNET_CONV=im2col --
same "convolution as im2col and one product" "$T/one.fp32" "$T/many"
small "$T/many" -- --seed 8
differ "another seed, other bits" "$T/one.fp32" "$T/many"
small "$T/many" -- --checkpoint-activations
same "activations made again" "$T/one.fp32" "$T/many"
check_golden

for numerics in fp32-winograd bf16; do
    check_machine 2 5
    differ "$numerics: another numerics, other bits" "$T/one.fp32" "$T/one.$numerics"
    small "$T/many" -- --checkpoint-activations
    same "$numerics: activations made again" "$T/one.$numerics" "$T/many"
    check_golden
done
finish
