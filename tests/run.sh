#!/bin/sh
# run.sh - what `make test` does: run.sh BUILDDIR FOLDER-OF-PROGRAMS [programs].  Runs every test program
# and, without the third word, beside them the shell tests; shows the failures; and adds up: a check of a
# test program counts like a check of a script.
set -u
build=$1 bin=$2 scripts='tests/cli.sh tests/bits.sh tests/cuda.sh'
[ "${3:-}" = programs ] && scripts=
passed=0 failed=0 skipped=0
folder=$(mktemp -d) || exit 1
out=$folder/out
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
export OMP_WAIT_POLICY=passive # threads that wait leave the CPUs to others
export BUILD_FOLDER="$build"     # where tests/cuda.sh finds the emulated device
limit=
command -v timeout >/dev/null && limit="timeout ${TEST_SECONDS:-170}"

# report NAME STATUS PASSED FAILED SKIPPED SECONDS: one line, and the failures under it.
report() {
    failures=$4
    [ "$2" != 0 ] && [ "$failures" = 0 ] && failures=1
    verdict=ok
    [ "$failures" = 0 ] || verdict=FAIL
    printf '%-4s %-24s %6d checks %4ds\n' "$verdict" "$1" $(($3 + failures)) "$6"
    if [ $verdict = FAIL ]; then
        grep '^FAIL' "$out" | head -n 20 | sed 's/^/     /'
        [ "$4" = 0 ] && { echo "     exit status $2"; tail -n 5 "$out" | sed 's/^/     /'; }
    fi
    passed=$((passed + $3)) failed=$((failed + failures)) skipped=$((skipped + $5))
}

# The scripts, one after the other, while the programs run: name.out, then name.end with status and seconds.
run_scripts() {
    for script in $scripts; do
        name=${script##*/}
        begin=$(date +%s) status=0
        $limit sh "$script" "$bin" >"$folder/$name.out" 2>&1 </dev/null || status=$?
        echo "$status $(($(date +%s) - begin))" >"$folder/$name.end"
    done
}
run_scripts &

for source in tests/test_*.c; do
    name=${source##*/}
    name=${name%.c}
    begin=$(date +%s) status=0
    $limit "$build/tests/$name" >"$out" 2>&1 </dev/null || status=$?
    set -- $(sed -n 's/^[^ ]*: \([0-9]*\) checks, \([0-9]*\) failed$/\1 \2/p' "$out" | tail -n 1)
    report "$name" $status $((${1:-0} - ${2:-0})) "${2:-0}" "$(grep -c '^skip ' "$out")" $(($(date +%s) - begin))
    grep '^skip ' "$out" | sed 's/^/     /'
done

wait
for script in $scripts; do
    name=${script##*/}
    out=$folder/$name.out
    set -- $(cat "$folder/$name.end") $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$out" |
        tail -n 1)
    report "$name" "${1:-1}" "${3:-0}" "${4:-0}" "${5:-0}" "${2:-0}"
    grep '^skip' "$out" | sed 's/^/     /'
done

if [ $skipped = 0 ]; then echo "$passed passed, $failed failed"
else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ $failed = 0 ] && [ $passed != 0 ]
