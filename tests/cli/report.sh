#!/bin/sh
# report.sh - times that ./bench takes, and reports of two runs.
. tests/cli/runs.sh

run_two two
run_small one

# -- times -------------------------------------------------------------------------------------------
run "$BIN/bench" --stem cifar --image-size 32 --num-classes 10 --data-free --warmup 1 --runs 3 --csv "$T/b.csv" --json
for key in mean_ms median_ms std_ms p50_ms p90_ms p95_ms p99_ms min_ms max_ms images_per_second peak_rss_mb; do
    if grep -q "\"$key\": [0-9]" "$T/out" && head -n 1 "$T/b.csv" | grep -q ",$key"; then pass "bench has $key"
    else fail "bench has $key" "exit $status: $(why)"; fi
done
if grep -q '"batch": 1,' "$T/out" && [ "$(wc -l <"$T/b.csv")" = 2 ]; then pass "bench measures batch 1 unasked"
else fail "bench measures batch 1 unasked" "$(why)"; fi
refuses "table where nothing can be written, before measuring" 4 '/proc' \
    "$BIN/bench" --data-free --runs 1000000 --csv /proc/nope/x.csv

"$BIN/bench" --mode train --stem cifar --image-size 32 --data-free --warmup 0 --runs 100000 --csv "$T/killed.csv" \
    >"$T/out" 2>"$T/err" &
parent=$!
sleep 2
child=$(sed 's/ .*//' /proc/$parent/task/$parent/children 2>/dev/null)
alive=no
kill $parent 2>/dev/null && alive=yes
wait $parent 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 "${child:-0}" 2>/dev/null && sleep 1; done
if [ $alive = no ]; then fail "nobody measures for a bench that is gone" "it was gone before: $(why)"
elif [ -z "$child" ]; then skip "nobody measures for a bench that is gone: children cannot be listed here"
elif kill -0 "$child" 2>/dev/null; then fail "nobody measures for a bench that is gone" "$child is at it"; kill "$child"
else pass "nobody measures for a bench that is gone"; fi

# -- reports -----------------------------------------------------------------------------------------
works "a report measures what is missing in two runs" \
    "$BIN/report" "$T/two" "$T/one" --limit 16 --batch-sizes 1,2 --warmup 1 --runs 3 --quiet
for file in report.html report.md report.txt evaluation.json bench.json misclassified.json roc.csv; do
    if [ -s "$T/two/$file" ]; then pass "it leaves $file"; else fail "it leaves $file" "$(why)"; fi
done
sed -n 's/.*"mean_ms": \([0-9.]*\),.*/\1/p; s/.*"top1": \([0-9.]*\),.*/\1/p' "$T/two/bench.json" "$T/two/evaluation.json" >"$T/figures"
while read -r figure; do
    if grep -qF "$figure" "$T/two/report.html"; then pass "its page says the measured figures"
    else fail "its page says the measured figures" "no $figure"; fi
done <"$T/figures"
cp "$T/two/report.html" "$T/first.html"
for flags in "" "--limit 16 --batch-sizes 1,2 --warmup 1 --runs 3"; do
    run "$BIN/report" "$T/two" "$T/one" --json $flags
    if [ ! -s "$T/err" ] && cmp -s "$T/first.html" "$T/two/report.html"; then pass "a second report measures nothing"
    else fail "a second report measures nothing" "exit $status: $(why)"; fi
done
run "$BIN/report" "$T/two" --limit 8
if grep -q evaluating "$T/err" && ! grep -q timing "$T/err" && grep -q 'the first 8 of ' "$T/two/report.txt"; then
    pass "another limit evaluates again"
else fail "another limit evaluates again" "exit $status: $(why)"; fi
prints "a report of one run elsewhere" 'both/report.html$' "$BIN/report" "$T/two" --no-measure --output "$T/both"
refuses "a sensitivity of ten classes" 2 'target-sensitivity is for two classes' "$BIN/report" "$T/one" --target-sensitivity 0.9
refuses "a report of no folder" 2 'give the folders' "$BIN/report"
refuses "a report of a folder without a run" 3 'args.conf' "$BIN/report" "$T/both"
echo '{' >"$T/two/bench.json"
refuses "a report with a damaged file" 3 'bench.json' "$BIN/report" "$T/two"

finish
