#!/bin/sh
# experiments.sh - the profiling study over a few images, and a batch that memory does not hold.
. tests/lib.sh

# study NAME...: a few images of the built-in data; the settings are the environment's.
study() {
    was=${LIMIT:-60}
    LIMIT=$((was > 150 ? was : 150)) # several programs one after the other
    run env DATA=demo EXPERIMENT_DIR="$T/study" EXPERIMENT_STEMS=imagenet EXPERIMENT_IMAGES=32 EXPERIMENT_EPOCHS=1 \
        EXPERIMENT_VAL_IMAGES=16 EXPERIMENT_BATCHES=8 EXPERIMENT_RUNS=1 EXPERIMENTS="$1" \
        sh tools/experiments.sh "$BIN" ${2:-}
    LIMIT=$was
}
refuses "experiments without data: what fetches them" 3 'fetch-cifar10.sh' \
    env DATA="cifar10:$T/nothing" EXPERIMENT_DIR="$T/study" sh tools/experiments.sh "$BIN"
refuses "an experiment that there is not" 2 'there is no exp9' \
    env DATA=demo EXPERIMENT_DIR="$T/study" EXPERIMENTS=exp9 sh tools/experiments.sh "$BIN" --dry-run
study "exp2 exp4" --dry-run
if [ $status = 0 ] && [ "$(grep -c -- --preset "$T/out")" = 2 ] && [ ! -e "$T/study" ]; then
    pass "experiments --dry-run: commands and no more"
else fail "experiments --dry-run" "exit $status: $(why)"; fi
study "exp3 exp4" --quiet
for file in summary.html summary.md summary.csv throughput.svg machine.txt exp4_batches.csv exp4_batches.json \
    exp4/profiler_exp4_summary.txt exp4/profiler_exp4_trace.json exp4/checkpoints/exp4_best.pth; do
    if [ -s "$T/study/$file" ]; then pass "experiments leave $file"
    else fail "experiments leave $file" "exit $status: $(why)"; fi
done
if [ -s "$T/study/exp3.na" ]; then
    prints "what cannot run is N/A, with the program's words" 'Exp 3.* is N/A: train: ' cat "$T/study/summary.md"
fi
study exp4
if [ $status = 0 ] && grep -q 'exp4: finished before, kept' "$T/err"; then pass "a second call runs nothing again"
else fail "a second call runs nothing again" "exit $status: $(why)"; fi
prints "a summary says where it is" '^{"html": ".*summary.html", .*"svg": ".*"}$' \
    "$BIN/report" --experiments "$T/study" --json
refuses "a summary elsewhere" 2 'experiments and --output' "$BIN/report" --experiments "$T/study" --output "$T/both"
echo '{' >"$T/study/exp4/summary.json"
refuses "a summary of a damaged run" 3 'exp4/summary.json' "$BIN/report" --experiments "$T/study"
# 700 MB of address space hold a batch of 1 and not one of 8192. A program built with an address sanitizer
# takes terabytes of addresses before its first line: it cannot be asked.
if ! sh -c 'ulimit -v 700000 && "$1/bench" --version' sh "$BIN" >"$T/out" 2>&1; then
    skip "a batch that does not fit: no program of this build starts within 700 MB of addresses"
else
    run sh -c 'ulimit -v 700000; "$1/bench" --mode train --stem imagenet --image-size 32 --num-classes 10 --warmup 0 \
        --runs 1 --data-free --batch-sizes 1,8192 --threads 1 --json' sh "$BIN"
    if [ $status = 0 ] && grep -q '"not_fitting": \[{"batch": 8192, "why": ".*memory' "$T/out"; then
        pass "a batch that does not fit is reported, and the others are measured"
    else fail "a batch that does not fit" "exit $status: $(why)"; fi
fi

finish
