#!/bin/bash
# kill.sh - a run that dies ends like one that lives: kill.sh FOLDER-OF-PROGRAMS [KILLS [FLAGS OF TRAIN...]]
#
# One run of 60 steps without a break; then the same with a checkpoint every third step, killed (-9) again and
# again at moments between two checkpoints, each time on another number of threads, and resumed.  Every step
# that is computed after a resume must have the hash of the unbroken run, and so must the weights at the end.
# The moments come from bash's own generator; its seed is printed, and SEED=N takes that one again.
. tests/lib.sh
kills=${2:-10}
shift $(($# < 2 ? $# : 2))
flags=(--data demo --arch resnet18 --stem cifar-pool --batch-size 16 --limit-val 8)
[ $# = 0 ] || flags=("$@")
flags+=(--max-steps 60 --hash --quiet)
RANDOM=${SEED:=$((RANDOM))}
LIMIT=1200

checkpoint() { ls "$T"/cut/checkpoints/*_last.pth 2>/dev/null | head -n 1; }
stamp() { stat -c '%i %Y' "$(checkpoint)" 2>/dev/null; }

# die_once: starts or resumes the run, and kills it at a moment after its next checkpoint.
die_once() {
    local before end
    before=$(stamp)
    OMP_NUM_THREADS=$((k % 3 + 1)) "$BIN/train" "${flags[@]}" --output "$T/cut" --checkpoint-every 3 \
        "${resume[@]}" >>"$T/hashes" 2>"$T/err" </dev/null &
    end=$((SECONDS + 300))
    while [ "$(stamp)" = "$before" ] && kill -0 $! 2>/dev/null && [ $SECONDS -lt $end ]; do sleep 0.05; done
    sleep "$(awk -v s="$span" -v r=$RANDOM 'BEGIN { print s * r / 32768 }')"
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
    [ $? = 137 ]
}

begin=$(date +%s%N)
run "$BIN/train" "${flags[@]}" --output "$T/whole"
grep '^step ' "$T/out" >"$T/want"
[ "$(cut -d' ' -f6 "$T/want" | sort -u | wc -l)" = 60 ] && pass "60 steps, 60 hashes" || fail "60 steps" "$(why)"
span=$((($(date +%s%N) - begin) / 20 / 1000000)) # of three steps, in milliseconds
span=$(awk -v s="$span" 'BEGIN { print s / 1000 }')

died=0 resume=()
for ((k = 0; k < kills; k++)); do
    end_if_late
    die_once || break
    died=$((died + 1))
    resume=(--resume "$(checkpoint)")
done
[ $died = "$kills" ] && pass "killed $kills times (SEED=$SEED)" || fail "killed $died times of $kills" "$(why)"
run "$BIN/train" "${flags[@]}" --output "$T/cut" --checkpoint-every 3 "${resume[@]}"
cat "$T/out" >>"$T/hashes"
# A killed run may have lost the end of its last line.
grep -E '^step [0-9]+ loss [^ ]+ weights [0-9a-f]{16}$' "$T/hashes" | sort -u -k2,2n -k1 >"$T/got"
same "every step of the $died+1 parts" "$T/want" "$T/got"
for d in whole cut; do sed -n 's/.*"weights_hash": *"\([0-9a-f]*\)".*/\1/p' "$T/$d/summary.json" >"$T/$d.hash" 2>/dev/null; done
[ -s "$T/whole.hash" ] && same "weights at the end: $(cat "$T/whole.hash")" "$T/whole.hash" "$T/cut.hash"
finish
