#!/bin/sh
# run.sh - what `make test` does: run.sh BUILDDIR FOLDER-OF-PROGRAMS [programs].  Runs every test program and,
# without the third word, the shell tests, as many at once as there are processors (TEST_JOBS says otherwise),
# and adds up: a check of a test program counts like a check of a script.  With TEST_UNTIL (seconds since the epoch)
# it is done by then, and what does not fit is skipped.
set -u
build=$1 bin=$2
scripts="tests/bits.sh tests/cuda.sh $(ls tests/cli/*.sh | grep -v /runs.sh)" # runs.sh is what they share
[ "${3:-}" = programs ] && scripts=
results=$(mktemp -d) || exit 1
trap 'rm -rf "$results"' EXIT
trap 'exit 130' INT TERM
export OMP_WAIT_POLICY=passive # threads that wait leave the CPUs to others
export BUILD_FOLDER="$build"     # where tests/cuda.sh finds the emulated device
jobs=${TEST_JOBS:-$(env -u OMP_NUM_THREADS nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}
[ "$jobs" -le 8 ] || jobs=8

# What takes long goes first, so that it is not waited for at the end.
printf '%s\n' $scripts tests/test_bits.c tests/test_*.c | awk '!seen[$0]++' |
    xargs -P "$jobs" -n 1 sh tests/run_one.sh "$results" "$build" "$bin"

set -- $(cat "$results"/*.counts | awk '{ p += $1; f += $2; s += $3 } END { print p, f, s, NR }')
passed=${1:-0} failed=${2:-0} skipped=${3:-0} missing=$(printf '%s\n' $scripts tests/test_*.c | wc -l)
missing=$((missing - ${4:-0}))
[ $missing = 0 ] || { echo "FAIL $missing tests left no result"; failed=$((failed + missing)); }
late=$(ls "$results"/*.late 2>/dev/null | wc -l)
[ "$late" = 0 ] || echo "skip $late tests: no time left:" $(cat "$results"/*.late)
if [ $skipped = 0 ]; then echo "$passed passed, $failed failed"
else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ $failed = 0 ] && [ $passed != 0 ]
