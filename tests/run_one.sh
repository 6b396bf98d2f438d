#!/bin/sh
# run_one.sh - one test of run.sh: run_one.sh RESULTS BUILDDIR FOLDER-OF-PROGRAMS TEST.  TEST is the source of a
# test program or a shell test under tests/.  One line of verdict and, under it, failures and what was skipped;
# `passed failed skipped` go to a file in RESULTS.
set -u
results=$1 build=$2 bin=$3 source=$4
name=${source#tests/}
case $name in *.c) name=${name%.c} ;; esac
out=$results/$(echo "$name" | tr / -)
limit=
command -v timeout >/dev/null && limit="timeout ${TEST_SECONDS:-600}"

begin=$(date +%s) status=0
case $source in
*.c) $limit "$build/tests/$name" >"$out" 2>&1 </dev/null || status=$? ;;
*) $limit sh "$source" "$bin" >"$out" 2>&1 </dev/null || status=$? ;;
esac
seconds=$(($(date +%s) - begin))
case $source in # a program says `N checks, N failed`, a script `N passed, N failed, N skipped`
*.c)
    set -- $(sed -n 's/^[^ ]*: \([0-9]*\) checks, \([0-9]*\) failed$/\1 \2/p' "$out" | tail -n 1)
    set -- $((${1:-0} - ${2:-0})) "${2:-0}" "$(grep -c '^skip ' "$out")" ;;
*) set -- $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$out" | tail -n 1) ;;
esac

passed=${1:-0} said=${2:-0} skipped=${3:-0} failed=${2:-0} verdict=ok
[ $status != 0 ] && [ "$said" = 0 ] && failed=1
[ $failed = 0 ] || verdict=FAIL
{
    printf '%-4s %-24s %6d checks %4ds\n' $verdict "$name" $((passed + failed)) $seconds
    if [ $verdict = FAIL ]; then
        grep '^FAIL' "$out" | head -n 20 | sed 's/^/     /'
        [ "$said" = 0 ] && { echo "     exit status $status"; tail -n 5 "$out" | sed 's/^/     /'; }
    fi
    grep '^skip' "$out" | sed 's/^/     /'
} >"$out.said"
echo "$passed $failed $skipped" >"$out.counts"
cat "$out.said" # in one piece: others run beside this one
