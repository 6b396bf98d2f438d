# lib.sh - sourced by the shell tests.  Each check prints one line: ok, FAIL or skip, and its name; `finish`
# ends with the counts that run.sh adds up, and with the verdict.  $BIN is the folder of the programs.
set -u
export LC_ALL=C OMP_WAIT_POLICY=passive # threads that wait leave the CPUs to others
unset OMP_NUM_THREADS RESNET_ISA RESNET_CONV
passed=0 failed=0 skipped=0
BIN=${1:-.}
# Runs leave checkpoints of 90 MB, and writing them safely waits for the disk: in memory where 8 GB of it are free, of
# which each of the scripts that run side by side takes 1 GB at most.
memory=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
if [ -z "${TMPDIR:-}" ] && [ "${memory:-0}" -gt 8000000 ] && [ -w /dev/shm ]; then TMPDIR=/dev/shm; fi
T=$(mktemp -d "${TMPDIR:-/tmp}/resnet.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 130' INT TERM

pass() { passed=$((passed + 1)); echo "ok   $1"; }
fail() { failed=$((failed + 1)); echo "FAIL $1${2:+: $2}"; }
skip() { skipped=$((skipped + 1)); echo "skip $1"; }
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] && [ "$passed" != 0 ]
}

# TEST_UNTIL, in seconds since the epoch, is when a script has to be done; unset, it has all the time there is.
# end_if_late: then it ends: what has been checked counts, the rest is skipped.
end_if_late() {
    [ -n "${TEST_UNTIL:-}" ] && [ "$(date +%s)" -ge "$TEST_UNTIL" ] || return 0
    skip "the rest: no time left"
    finish
    [ "$failed" = 0 ]
    exit
}

# within SECONDS COMMAND...: ends a command that hangs or outlives TEST_UNTIL, where the system has `timeout`.
if command -v timeout >/dev/null; then
    within() {
        limit=$1; shift
        if [ -n "${TEST_UNTIL:-}" ]; then
            rest=$((TEST_UNTIL - $(date +%s)))
            [ "$rest" -gt 0 ] || rest=1
            [ "$limit" -le $rest ] || limit=$rest
        fi
        timeout -k 5 "$limit" "$@" </dev/null
    }
else
    within() { shift; "$@" </dev/null; }
fi

# run COMMAND...: stdout in $T/out, stderr in $T/err, exit status in $status.
run() {
    end_if_late
    status=0
    within "${LIMIT:-60}" "$@" >"$T/out" 2>"$T/err" || status=$?
    case $status in 124 | 137 | 143) end_if_late ;; esac # ended from outside
}
why() { tail -n 1 "$T/err" | cut -c1-200; }

# works NAME COMMAND...
works() {
    name=$1; shift
    run "$@"
    if [ $status = 0 ]; then pass "$name"; else fail "$name" "exit $status: $(why)"; fi
}

# refuses NAME STATUS WORD COMMAND...: ends with that status and a sentence on stderr that has the word,
# and says nothing on stdout.
refuses() {
    name=$1 want=$2 word=$3; shift 3
    run "$@"
    if [ $status != "$want" ]; then fail "$name" "exit $status instead of $want: $(why)"
    elif ! grep -q -e "$word" "$T/err"; then fail "$name" "no \"$word\" in: $(why)"
    elif [ -s "$T/out" ]; then fail "$name" "talks on stdout: $(head -n 1 "$T/out" | cut -c1-80)"
    else pass "$name"; fi
}

# prints NAME REGEX COMMAND...: exits 0, and a line of stdout matches.
prints() {
    name=$1 pattern=$2; shift 2
    run "$@"
    if [ $status != 0 ]; then fail "$name" "exit $status: $(why)"
    elif grep -qE -e "$pattern" "$T/out"; then pass "$name"
    else fail "$name" "no line like $pattern"; fi
}

# same NAME FILE FILE: both have the same content, and some.
same() {
    if [ ! -s "$2" ]; then fail "$1" "nothing to compare with"
    elif [ ! -s "$3" ]; then fail "$1" "exit $status: $(why)"
    elif cmp -s "$2" "$3"; then pass "$1"
    else fail "$1" "$(diff "$2" "$3" | sed -n 2p | cut -c1-120)"; fi
}
