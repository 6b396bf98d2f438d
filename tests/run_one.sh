#!/bin/sh
# run_one.sh - one test of run.sh: run_one.sh RESULTS BUILDDIR FOLDER-OF-PROGRAMS TEST.  TEST is the source of a
# test program or a shell test under tests/.  One line of verdict and, under it, failures and what was skipped;
# `passed failed skipped` go to a file in RESULTS.  TEST_SECONDS (600) is what it may take, TEST_UNTIL (in seconds
# since the epoch) when it must be done: what does not begin before is skipped, and so is what is not done then.
set -u
results=$1 build=$2 bin=$3 source=$4
name=${source#tests/}
case $name in *.c) name=${name%.c} ;; esac
out=$results/$(echo "$name" | tr / -)
begin=$(date +%s) status=0 limit= seconds=${TEST_SECONDS:-600} rest=
if [ -n "${TEST_UNTIL:-}" ]; then
    rest=$((TEST_UNTIL - begin))
    if [ $rest -le 0 ]; then
        echo "$name" >"$out.late"
        echo "0 0 1" >"$out.counts"
        exit
    fi
    case $source in *.sh) rest=$((rest + 10)) ;; esac # a script ends itself, and has a moment for that
    [ "$seconds" -le $rest ] || seconds=$rest
fi
command -v timeout >/dev/null && limit="timeout -k 5 $seconds"

case $source in
*.c) $limit "$build/tests/$name" >"$out" 2>&1 </dev/null || status=$? ;;
*) $limit sh "$source" "$bin" >"$out" 2>&1 </dev/null || status=$? ;;
esac
seconds=$(($(date +%s) - begin))
stopped=no
case $status in 124 | 137 | 143) [ -z "$rest" ] || [ $seconds -lt $rest ] || stopped=yes ;; esac

if [ $stopped = yes ]; then # by TEST_UNTIL: no failure, and what was checked counts
    status=0
    echo "skip the rest: no time left" >>"$out"
    set -- "$(grep -c '^ok ' "$out")" "$(grep -c '^FAIL ' "$out")" "$(grep -c '^skip ' "$out")"
else
    case $source in # a program says `N checks, N failed`, a script `N passed, N failed, N skipped`
    *.c)
        set -- $(sed -n 's/^[^ ]*: \([0-9]*\) checks, \([0-9]*\) failed$/\1 \2/p' "$out" | tail -n 1)
        set -- $((${1:-0} - ${2:-0})) "${2:-0}" "$(grep -c '^skip ' "$out")" ;;
    *) set -- $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$out" | tail -n 1) ;;
    esac
fi

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
