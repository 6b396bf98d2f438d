#!/bin/sh
# train.sh - small runs: what they leave, how they go on, are repeated and replayed, and what stops them.
. tests/cli/runs.sh

# -- small runs --------------------------------------------------------------------------------------
prints "dry run as JSON" '"parameters": ?11173962' "$BIN/train" --data demo --stem cifar --dry-run --json
works "evaluate --help needs no checkpoint" "$BIN/evaluate" --help
prints "a profile" 'aten::convolution_backward' \
    "$BIN/profile" --data demo --batch-size 4 --steps 1 --warmup 0 --name x --output "$T/profile"
prints "its tables in a file" 'Self CPU time total: ' cat "$T/profile/profiler_x_summary.txt"
prints "its trace" '"name":"aten::convolution","cat":"op","ph":"X"' cat "$T/profile/profiler_x_trace.json"
mkdir -p "$T/lost/profiler_x_trace.json"
refuses "a trace that cannot be written" 4 'the trace is lost: .*profiler_x_trace.json' \
    "$BIN/profile" --mode infer --batch-size 1 --steps 1 --warmup 0 --name x --output "$T/lost" --quiet
prints "the tables are there all the same" 'Self CPU time total: ' cat "$T/lost/profiler_x_summary.txt"
status=0
timeout -s INT 5 "$BIN/profile" --data demo --batch-size 1 --steps 100000 --name cut --output "$T/cut" \
    >/dev/null 2>"$T/err" || status=$?
if [ $status = 124 ] && [ -s "$T/cut/profiler_cut_summary.txt" ] && [ -s "$T/cut/profiler_cut_trace.json" ]; then
    pass "an interrupted profile has what was recorded"
else
    fail "an interrupted profile has what was recorded" "exit $status: $(ls "$T/cut" | tr '\n' ' ')"
fi
refuses "a backend that is not in this build" 1 'cuda' env CUDA_VISIBLE_DEVICES= "$BIN/profile" --backend cuda --output "$T/lost"
run_small one --hash
grep '^step' "$T/out" >"$T/one.txt"
if [ $status = 0 ] && [ "$(grep -cE '^step [0-9]+ loss 0x[0-9a-f.]+p[+-][0-9]+ weights [0-9a-f]{16,}$' "$T/out")" = 2 ]; then
    pass "two steps, two hash lines, through --quiet"
else
    fail "two steps, two hash lines, through --quiet" "exit $status: $(why)"
fi
for file in args.conf results.csv log.txt hashes.txt summary.json; do
    if [ -s "$T/one/$file" ]; then pass "the run leaves $file"; else fail "the run leaves $file"; fi
done
if "$BIN/train" --version | grep -q '^cairo  *found'; then
    if [ -s "$T/one/curves.png" ]; then pass "the run leaves curves.png"; else fail "the run leaves curves.png"; fi
else
    skip "no cairo here, so no curves.png"
fi
last=$(checkpoint_of one)
best=$(ls "$T"/one/checkpoints/*_best.pth 2>/dev/null | head -n 1)
if [ -s "${last:-/nowhere}" ] && [ -s "${best:-/nowhere}" ]; then pass "the run leaves two checkpoints"
else fail "the run leaves two checkpoints" "$(ls "$T/one" "$T/one/checkpoints" 2>&1 | tr '\n' ' ')"; fi
run "$BIN/train" --config "$T/one/args.conf" --output "$T/again"
grep '^step' "$T/out" >"$T/again.txt"
same "args.conf alone repeats the run" "$T/one.txt" "$T/again.txt"
run_small one
if [ $status = 2 ] && grep -q overwrite "$T/err"; then pass "a folder that holds a run is refused"
else fail "a folder that holds a run is refused" "exit $status: $(why)"; fi
run_small one --overwrite
if [ $status = 0 ]; then pass "--overwrite replaces it"; else fail "--overwrite replaces it" "exit $status: $(why)"; fi
run_small more --resume "$last" --max-steps 4 --hash
if [ $status = 0 ] && [ "$(grep -c '^step [34] ' "$T/out")" = 2 ]; then pass "--resume does steps 3 and 4"
else fail "--resume does steps 3 and 4" "exit $status: $(why)"; fi
done_with again more
run_small winograd --resume "$last" --max-steps 4 --numerics fp32-winograd
if [ $status = 2 ] && grep -q -e '--numerics: fp32 there, fp32-winograd now' "$T/err"; then
    pass "--resume under another numerics: exit 2"
else
    fail "--resume under another numerics" "exit $status: $(why)"
fi
run_small winograd --resume "$last" --max-steps 3 --numerics fp32-winograd --force
if [ $status = 0 ] && grep -q '"numerics": "fp32-winograd"' "$T/winograd/summary.json"; then
    pass "--force goes on, and the summary names the numerics"
else
    fail "--resume --force under another numerics" "exit $status: $(why)"
fi
refuses "2000 threads are capped, and it is said" 2 'capped to 1024' "$BIN/train" --threads 2000 --epochs -1
run_small profiled --profile
cp "$T/profiled/profiler_train_summary.txt" "$T/profile.txt"
run "$BIN/train" --resume "$T"/profiled/checkpoints/*_last.pth --max-steps 2 --profile --quiet
same "a finished run that is resumed keeps its profile" "$T/profile.txt" "$T/profiled/profiler_train_summary.txt"
run "$BIN/train" --data demo --stem cifar-pool --batch-size 2 --limit-val 2 --max-steps 25 --profile --profile-steps 5 --quiet \
    --output "$T/later"
if grep -q '^5 steps of ' "$T/later/profiler_train_summary.txt" &&
    ! grep -q 'hash of the weights' "$T/later/profiler_train_summary.txt"; then pass "a profile of steps that are not hashed"
else fail "a profile of steps that are not hashed" "$(sed -n 3p "$T/later/profiler_train_summary.txt") $(why)"; fi
prints "... and of those where there are no others" '^2 steps of ' cat "$T/profiled/profiler_train_summary.txt"
run_small mixed --amp bf16
if [ $status = 0 ] && grep -q '"numerics": "bf16"' "$T/mixed/summary.json"; then
    pass "--amp bf16 trains, and the summary says so"
else
    fail "--amp bf16" "exit $status: $(why)"
fi
run_small mixed-off --resume "$T"/mixed/checkpoints/*_last.pth --max-steps 3 --amp off
if [ $status = 2 ] && grep -q -e '--numerics: bf16 there, fp32 now' "$T/err"; then
    pass "--amp off on a bf16 checkpoint: exit 2"
else
    fail "--amp off on a bf16 checkpoint" "exit $status: $(why)"
fi
run_small mixed-on --resume "$T"/mixed/checkpoints/*_last.pth --max-steps 3
if [ $status = 0 ] && grep -q '"numerics": "bf16"' "$T/mixed-on/summary.json"; then
    pass "... which goes on in bf16 by itself"
else
    fail "--resume of a bf16 checkpoint" "exit $status: $(why)"
fi
done_with mixed mixed-off mixed-on
run_small scaled --loss-scale 2^16 --hash
grep '^step' "$T/out" >"$T/scaled.txt"
same "--loss-scale 2^16 has the bits of none" "$T/one.txt" "$T/scaled.txt"
# overflow NAME FLAG...: steps of two images, at first with a scale that is too large.
overflow() { name=$1; shift; run_small "$name" --batch-size 2 --hash --loss-scale dynamic --loss-scale-init 2^127 "$@"; }
overflow overflowed --max-steps 6
grep '^step' "$T/out" >"$T/overflowed.txt"
if [ $status = 0 ] && grep -q '^step 1: a gradient is not finite .*: no update; the scale is now ' "$T/overflowed/log.txt" &&
    grep -q '"skipped_steps": [1-5],$' "$T/overflowed/summary.json" && [ "$(wc -l <"$T/overflowed.txt")" = 6 ]; then
    pass "overflowing steps are skipped, logged and counted"
else
    fail "overflowing steps are skipped, logged and counted" "exit $status: $(why)"
fi
overflow first --max-steps 1
grep '^step' "$T/out" >"$T/parts.txt"
scaled=$(checkpoint_of first)
run_small rest --resume "$scaled" --max-steps 6 --batch-size 2 --hash
grep '^step' "$T/out" >>"$T/parts.txt"
same "... resumed in the middle of them, the same bits" "$T/overflowed.txt" "$T/parts.txt"
done_with scaled overflowed rest
run_small off --resume "$scaled" --max-steps 6 --batch-size 2 --loss-scale off
if [ $status = 2 ] && grep -q -e '--loss-scale: dynamic there, off now' "$T/err"; then
    pass "--loss-scale off on that checkpoint: exit 2"
else
    fail "--loss-scale off on a checkpoint with a scaler" "exit $status: $(why)"
fi
run_small fixed --batch-size 2 --loss-scale 2^127
if [ $status = 1 ] && grep -q 'with the loss scaled by .*a gradient is not finite' "$T/err"; then
    pass "a fixed scale that is too large: exit 1"
else
    fail "a fixed scale that is too large" "exit $status: $(why)"
fi
done_with first off fixed
prints "evaluate takes the checkpoint's numerics" '"numerics": "fp32-winograd"' \
    "$BIN/evaluate" --checkpoint "$T"/winograd/checkpoints/*_last.pth --data demo --limit 8 --json
works "evaluate under another numerics" \
    "$BIN/evaluate" --checkpoint "$T"/winograd/checkpoints/*_last.pth --data demo --limit 8 --numerics fp32
if grep -q 'trained under --numerics fp32-winograd' "$T/err"; then pass "... and it is said"
else fail "evaluate does not say that the checkpoint has another numerics" "$(why)"; fi
done_with winograd
run_small other --resume "$last" --stem cifar
if [ $status = 3 ]; then pass "checkpoint of another stem: exit 3"; else fail "checkpoint of another stem" "exit $status"; fi
works "evaluate a checkpoint" "$BIN/evaluate" --checkpoint "$last" --data demo --limit 32
prints "evaluate as JSON" '"count": ?32' "$BIN/evaluate" --checkpoint "$last" --data demo --limit 32 --json

# -- more small runs ---------------------------------------------------------------------------------
# preset_says NAME FLAG... -- VALUE...: the settings in force, each "key value" as JSON has them.
preset_says() {
    preset=$1; shift
    flags=
    while [ "$1" != -- ]; do flags="$flags $1"; shift; done
    shift
    "$BIN/train" --preset "$preset" $flags --dry-run --json >"$T/sheet.json" 2>"$T/err"
    for value in "$@"; do
        if grep -qE "\"${value%% *}\": ${value#* },?\$" "$T/sheet.json"; then pass "preset $preset: $value"
        else fail "preset $preset: $value" "$(grep "\"${value%% *}\"" "$T/sheet.json") $(why)"; fi
    done
}

# The CIFAR-10 sheet: its values, each of which a flag overrides, and its names.
preset_says cifar10 --data demo --lr 0.05 -- 'epochs 200' 'batch-size 128' 'lr 0.05' 'momentum 0.9' \
    'weight-decay 0.0005' 't-max 200' \
    'early-stop-floor 80' 'early-stop-patience 15' 'target-acc 85' 'seed 42' 'stem "cifar"' \
    'augment "crop:4,flip"' 'mean \[0.4914,0.4822,0.4465\]' 'std \[0.2023,0.1994,0.201\]'
preset_says baseline-fp32 --data demo:224 -- 'parameters 11177538' 'opt "adamw"' 'lr 0.0001' 'head-lr 0.001' \
    'weight-decay 0.0001' 'epochs 10' \
    'label-smoothing 0.1' 'batch-size 64' 'image-size 224' 'lr-scheduler "plateau"' 'lr-patience 10' \
    'early-stop-patience 10' 'seed 42' 'std \[0.229,0.224,0.225\]'
prints "--freeze-bn from scratch: it is said" 'freeze-bn without --weights' \
    sh -c '"$1/train" --data demo --freeze-bn --max-steps 0 --output "$2" 2>&1' sh "$BIN" "$T/frozen"
refuses "--freeze of what is not there" 2 'layer5: no parameter' "$BIN/train" --freeze layer5 --output "$T/x"
run_small sheet --preset cifar10 --limit-train 12 --max-steps 3 --tensorboard
sheet=$T/sheet/checkpoints/resnet18/resnet18_cifar_last.pth
for file in checkpoints/resnet18/resnet18_cifar_best.pth checkpoints/resnet18/resnet18_cifar_last.pth \
    results_resnet18_training.csv events.out.tfevents.0000000000.resnet; do
    if [ -s "$T/sheet/$file" ]; then pass "the sheet leaves $file"; else fail "the sheet leaves $file" "$(why)"; fi
done
if grep -q 'target accuracy 85 %: not met' "$T/sheet/log.txt"; then pass "its target is reported, not demanded"
else fail "its target is reported" "exit $status: $(why)"; fi
works "it goes on elsewhere" "$BIN/train" --quiet --max-steps 5 --output "$T/fork" --resume "$sheet" --tensorboard
run "$BIN/train" --verify-run "$T/fork"
if [ $status = 0 ] && grep -q 'all 3 hashes' "$T/out" && grep -q 'went on from' "$T/err"; then
    pass "... and is replayed from there"
else fail "replay of a run that went on elsewhere" "exit $status: $(why)"; fi
done_with fork one other
works "it goes on where it is, --output unsaid" "$BIN/train" --quiet --max-steps 4 --resume "$sheet"
same "its table has two names" "$T/sheet/results.csv" "$T/sheet/results_resnet18_training.csv"
prints "--verify-run of a resumed run" 'all 5 hashes' "$BIN/train" --verify-run "$T/sheet"
spoil() { # a copy of that run with one file changed by sed: spoil FILE SCRIPT
    rm -rf "$T/spoilt"; mkdir "$T/spoilt"; cp "$T/sheet/args.conf" "$T/sheet/hashes.txt" "$T/spoilt"
    sed "$2" "$T/sheet/$1" >"$T/spoilt/$1"
}
spoil hashes.txt '2s/.$/x/'
refuses "--verify-run, one digit of step 2 changed" 5 'differs at step 2' "$BIN/train" --verify-run "$T/spoilt" --quiet
spoil args.conf 's/^seed = .*/seed = 43/'
refuses "--verify-run, another seed" 5 'differs at step 1' "$BIN/train" --verify-run "$T/spoilt" --quiet
spoil args.conf 's/^seed/sead/'
refuses "--verify-run, an unknown setting" 3 'did you mean seed' "$BIN/train" --verify-run "$T/spoilt"
refuses "--verify-run of no run" 3 'args.conf' "$BIN/train" --verify-run "$T/empty"
run_small average --model-ema --model-ema-decay 0.5 --augment crop:2:reflect,altflip --bias-lr 0.1 --norm-weight-decay 0
same_acc=$(sed -n 's/^  "val_acc": \([0-9.]*\),$/\1/p' "$T/average/summary.json")
prints "--model-ema: the checkpoint is what was validated" "\"top1\": ?$same_acc,?\$" "$BIN/evaluate" \
    --checkpoint "$T"/average/checkpoints/*_last.pth --data demo --limit 16 --json
run_small target --target-acc 100
if [ $status = 5 ]; then pass "a missed --target-acc: exit 5"; else fail "a missed --target-acc" "exit $status: $(why)"; fi

# -- signals, and threads that are bound -------------------------------------------------------------
# OpenMP binds the first thread to one place, and those that it starts beside OpenMP's would stay there.
free=$(sed -n 's/^Cpus_allowed_list:[^0-9]*//p' /proc/self/status 2>/dev/null)
OMP_PROC_BIND=close OMP_PLACES=threads "$BIN/train" --data demo --stem cifar-pool --batch-size 2 --workers 1 --quiet \
    --limit-val 2 --output "$T/asked" >"$T/out" 2>"$T/err" </dev/null &
pid=$! looks=0
until [ -s "$T/asked/hashes.txt" ] || [ $((looks += 1)) -gt 300 ] || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
others=$(grep -l "^Cpus_allowed_list:.$free\$" /proc/$pid/task/*/status 2>/dev/null | grep -vc "/$pid/status")
case $free in
"") skip "loading threads where OpenMP binds its own: nobody says on which processors they may run" ;;
*[!0-9]*) if [ "$others" -gt 0 ]; then pass "loading threads run anywhere, where OpenMP binds its own"
    else fail "loading threads run anywhere, where OpenMP binds its own" "none of $(ls /proc/$pid/task) has $free"; fi ;;
*) skip "loading threads where OpenMP binds its own: there is one processor" ;;
esac
kill -USR1 $pid 2>/dev/null
looks=0
until ls "$T"/asked/checkpoints/*_last.pth >/dev/null 2>&1 || [ $((looks += 1)) -gt 300 ]; do sleep 0.1; done
if kill -0 $pid 2>/dev/null && [ $looks -le 300 ]; then pass "SIGUSR1: a checkpoint, and the run goes on"
else fail "SIGUSR1: a checkpoint, and the run goes on" "$(ls "$T/asked" | tr '\n' ' ') $(why)"; fi
kill $pid 2>/dev/null
status=0
wait $pid || status=$?
if [ $status = 143 ]; then pass "SIGTERM: exit 143"; else fail "SIGTERM: exit 143" "exit $status: $(why)"; fi

# -- the machine -------------------------------------------------------------------------------------
refuses "output where nothing can be written" 4 '/proc' "$BIN/train" --data demo --max-steps 1 --quiet --output /proc/nope
status=0
(
    ulimit -f 64
    "$BIN/train" --data demo --stem cifar-pool --batch-size 8 --max-steps 1 --limit-train 16 --limit-val 8 \
        --quiet --output "$T/full"
) >"$T/out" 2>"$T/err" </dev/null || status=$?
if [ $status = 4 ] && ! ls "$T"/full/checkpoints/* >/dev/null 2>&1; then pass "no room for the checkpoint: exit 4, no torso"
else fail "no room for the checkpoint" "exit $status: $(why) $(ls "$T/full/checkpoints" 2>/dev/null | tr '\n' ' ')"; fi

# OpenMP ended the program where a thread could not be started, whatever the library was about to say.  A thousand
# stacks of 8 MB do not fit; a program built with an address sanitizer does not start at all.
if ! sh -c 'ulimit -s 8192 && ulimit -v 4000000 && "$1/train" --version' sh "$BIN" >"$T/out" 2>&1; then
    skip "more threads than can be started: no program of this build starts within 4 GB of addresses"
else
    refuses "more threads than can be started" 4 '1000 threads: this process can start' \
        sh -c 'ulimit -s 8192; ulimit -v 4000000; "$1/train" --threads 1000 --data demo --max-steps 1 --quiet --output "$2"' sh "$BIN" \
        "$T/many"
fi

finish
