#!/bin/sh
# bits.sh - equal inputs give equal bits: bits.sh FOLDER-OF-PROGRAMS [--write | --long]
#
# Under each numerics, runs of a few steps with several thread counts, every instruction set that this
# machine has, both forms of direct convolution and both backends; their step hashes must be the same
# lines.  A run of 20 steps must have the hashes of tests/golden/train.txt, train-winograd.txt or
# train-bf16.txt, under bf16 on each instruction set but portable C; --write writes those files anew and shows
# what changed, --long makes the 20 steps, and nothing else, under each numerics on every instruction set.
. tests/lib.sh

numerics=fp32

# steps FILE [NAME=VALUE ...] -- FLAG...: the hash lines of a run on the built-in data.
steps() {
    file=$1; shift
    settings=
    while [ "$1" != -- ]; do settings="$settings $1"; shift; done
    shift
    rm -rf "$T/run" # 170 MB
    run env $settings "$BIN/train" --data demo --arch resnet18 --hash --quiet --seed 7 \
        --numerics $numerics --output "$T/run" "$@"
    if [ $status = 0 ]; then grep '^step ' "$T/out" >"$file"; else : >"$file"; fi
}
# Two steps of six images; the short run of README.md's table of hashes, for what is slow: portable C and the naive
# loops take seconds; and its long run.
small() { file=$1; shift; steps "$file" "$@" --stem cifar-pool --batch-size 6 --max-steps 2 --limit-val 4; }
tiny() { file=$1; shift; steps "$file" "$@" --seed 42 --batch-size 4 --max-steps 2 --limit-val 1; }
table() { file=$1; shift; steps "$file" "$@" --seed 42 --batch-size 16 --max-steps 20 --limit-val 1; }
long() {
    file=$1; shift
    steps "$file" "$@" -- --stem cifar-pool --batch-size 16 --max-steps 20 --limit-train 128 --limit-val 8 \
        --lr 0.01 --momentum 0.9 --weight-decay 0.0005 --label-smoothing 0.1 --augment crop:4,flip
}

# The golden file of the numerics in force.
golden() {
    case $numerics in
    fp32) echo tests/golden/train.txt ;;
    *) echo "tests/golden/train-${numerics#fp32-}.txt" ;;
    esac
}

# The row that README.md's table of hashes has for the numerics in force: after the short run and after the long one.
row() { sed -n "s/^| \`$numerics\` | \`\([0-9a-f]*\)\` | \`\([0-9a-f]*\)\` |.*/\1 \2/p" README.md; }
ends() { tail -n 1 "$1" | sed 's/.* weights //'; }

# check_short FILE: the short run's.  check_long NAME=VALUE...: the long run's, done with these settings.
check_short() {
    wanted=$(row)
    if [ "${wanted% *}" = "$(ends "$1")" ]; then pass "$numerics: README.md's hash after 2 steps"
    else fail "$numerics: README.md's hash after 2 steps" "${wanted% *} there, $(ends "$1") here"; fi
}
check_long() {
    wanted=$(row)
    table "$T/now" "$@" --
    if [ $status = 2 ]; then skip "$*: $(why)"
    elif [ "${wanted#* }" = "$(ends "$T/now")" ]; then pass "$numerics: README.md's hash after 20 steps, $*"
    else fail "$numerics: README.md's hash after 20 steps, $*" "${wanted#* } there, $(ends "$T/now") here"; fi
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
    echo "$record: written; a change belongs into CHANGELOG.md, marked [bits], and into README.md's table of hashes"
}

if [ "${2:-}" = --write ]; then
    for numerics in fp32 fp32-winograd bf16; do write_golden; done
    exit 0
fi

# Instruction sets that this machine has not, as found by trying them once.
absent=
here() { case " $absent " in *" $1 "*) return 1 ;; esac; }

# same_on ISA NAME FILE FILE: `same` of the last run, unless the machine refused it.
same_on() {
    if [ $status = 2 ]; then
        skip "$1: $(why)"
        absent="$absent $1"
    else
        shift
        same "$@"
    fi
}

# check_machine THREADS...: against one thread; each instruction set and the naive loops against the best.
check_machine() {
    small "$T/one.$numerics" OMP_NUM_THREADS=1 --
    for threads in "$@"; do
        small "$T/many" OMP_NUM_THREADS=$threads --
        same "$numerics: $threads threads" "$T/one.$numerics" "$T/many"
    done
    tiny "$T/two" --
    for isa in portable avx2 avx512 amx neon; do
        here $isa || continue
        tiny "$T/many" RESNET_ISA=$isa --
        same_on $isa "$numerics: instruction set $isa" "$T/two" "$T/many"
    done
    tiny "$T/many" -- --backend ref
    same "$numerics: backend ref" "$T/two" "$T/many"
    check_short "$T/two"
}

check_golden() {
    record=$(golden)
    if [ -f "$record" ]; then
        grep '^step ' "$record" >"$T/golden"
        long "$T/now" OMP_NUM_THREADS=1
        same "$numerics: 20 steps as in $record" "$T/golden" "$T/now"
    else
        : >"$T/golden"
        fail "$numerics: 20 steps as in $record" "no such file; make golden writes it"
    fi
}

# check_sets THREADS ISA...: the 20 steps on those of the instruction sets that this machine has.
check_sets() {
    threads=$1; shift
    for isa in "$@"; do
        here $isa || continue
        long "$T/now" RESNET_ISA=$isa OMP_NUM_THREADS=$threads
        same_on $isa "$numerics: 20 steps on $isa, $threads threads" "$T/golden" "$T/now"
    done
}

if [ "${2:-}" = --long ]; then
    for numerics in fp32 fp32-winograd bf16; do
        check_golden
        check_sets 1 avx2 avx512 amx neon
        check_sets 5 portable avx2 avx512 amx neon
        for isa in avx2 avx512 amx neon; do check_long RESNET_ISA=$isa; done
    done
    finish
    exit
fi

# differ NAME FILE FILE: other bits in the last step.
differ() {
    if [ -s "$2" ] && [ -s "$3" ] && [ "$(tail -n 1 "$2")" != "$(tail -n 1 "$3")" ]; then pass "$1"
    else fail "$1" "$(tail -n 1 "$3")"; fi
}

check_machine 3 8
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
check_sets 5 avx2 avx512 amx neon # bf16: the sets differ most, amx in how it computes
finish
