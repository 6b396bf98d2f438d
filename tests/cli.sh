#!/bin/sh
# cli.sh - the programs as a user meets them: cli.sh FOLDER-OF-PROGRAMS.  Flags, bad values, help, version,
# exit statuses, damaged files, a full disk, and what a small run leaves.
. tests/lib.sh

# A small run into $T/NAME: run_small NAME FLAG...
run_small() {
    name=$1; shift
    run "$BIN/train" --data demo --arch resnet18 --stem cifar-pool --batch-size 8 --max-steps 2 \
        --limit-train 32 --limit-val 16 --quiet --output "$T/$name" "$@"
}

# -- help, version -----------------------------------------------------------------------------------
for program in train evaluate bench report convert conform characterize; do
    prints "$program --help names the exit statuses" '^Exit status' "$BIN/$program" --help
    prints "$program --version" '^[a-z]+ \(resnet\.c\) [0-9]+\.[0-9]+' "$BIN/$program" --version
    refuses "$program --no-such-flag" 2 'no-such-flag' "$BIN/$program" --no-such-flag
    refuses "$program --threads 0" 2 'threads' "$BIN/$program" --threads 0
done
prints "help shows the defaults" '--numerics.*' "$BIN/train" --help
prints "help ends with examples" '^Examples' "$BIN/train" --help
prints "version lists instruction sets" '^instruction sets .*portable' "$BIN/train" --version
prints "version lists numerics" '^numerics +fp32 fp32-winograd bf16$' "$BIN/train" --version
if [ -w /dev/full ]; then
    status=0
    "$BIN/train" --help >/dev/full 2>"$T/err" || status=$?
    if [ $status = 4 ]; then pass "help on a full disk: exit 4"; else fail "help on a full disk" "exit $status"; fi
else
    skip "no /dev/full here"
fi

# -- usage -------------------------------------------------------------------------------------------
refuses "misspelt flag, with the right one" 2 'did you mean --lr' "$BIN/train" --lerning-rate 3 --output "$T/x"
refuses "unknown architecture" 2 'resnet1[0-9]' "$BIN/train" --arch resnet19 --output "$T/x"
refuses "unknown stem" 2 'cifar' "$BIN/train" --stem cifra --output "$T/x"
refuses "unknown data set" 2 'nowhere' "$BIN/train" --data nowhere:x --output "$T/x"
refuses "unknown backend" 2 'cpu' "$BIN/train" --backend cpuu --output "$T/x"
refuses "backend that is not built in" '1' 'cuda' env CUDA_VISIBLE_DEVICES= "$BIN/train" --backend cuda --max-steps 1 --output "$T/x"
for numerics in int8 fast; do
    refuses "numerics that the backend has not: $numerics" 2 "cpu does not .*'$numerics'.*fp32 fp32-winograd bf16" \
        "$BIN/train" --numerics $numerics --output "$T/x"
done
refuses "golden pack under numerics that ref has not" 2 "ref does not .*'int8'.*fp32 fp32-winograd bf16" \
    "$BIN/conform" --write-golden "$T/x" --numerics int8
refuses "--amp fp16 on a CPU" 2 'needs a GPU.* bf16' "$BIN/train" --amp fp16 --output "$T/x"
refuses "a loss scale that is no power of two" 2 'loss-scale: 1000: a power of two' \
    "$BIN/train" --loss-scale 1000 --output "$T/x"
refuses "the first scale of a rule that is off" 2 'init needs --loss-scale dynamic' \
    "$BIN/train" --loss-scale-init 1024 --output "$T/x"
refuses "--amp and --numerics that differ" 2 'amp bf16.*numerics fp32 exclude' \
    "$BIN/train" --amp bf16 --numerics fp32 --output "$T/x"
prints "--amp bf16 is --numerics bf16" '"numerics": "bf16"' "$BIN/train" --amp bf16 --dry-run --json
prints "--numerics bf16 is --amp bf16" '"amp": "bf16"' "$BIN/train" --numerics bf16 --dry-run --json
refuses "unknown numerics, with those there are" 2 'fp33.*fp32-winograd' "$BIN/train" --numerics fp33 --output "$T/x"
refuses "a fraction of a thread" 2 'threads' "$BIN/train" --threads 0.5 --output "$T/x"
refuses "an unknown instruction set for ref, too" 2 'avx1024' "$BIN/train" --backend ref --isa avx1024 --output "$T/x"
refuses "batch of no image" 2 'batch-size' "$BIN/train" --batch-size 0 --output "$T/x"
refuses "negative epochs" 2 'epochs' "$BIN/train" --epochs -1 --output "$T/x"
refuses "number out of range" 2 '1e999' "$BIN/train" --lr 1e999 --output "$T/x"
refuses "not a number" 2 'nan' "$BIN/train" --lr nan --output "$T/x"
refuses "decimal comma" 2 '0,1' "$BIN/train" --lr 0,1 --output "$T/x"
refuses "unknown augmentation" 2 'flop' "$BIN/train" --augment flop --output "$T/x"
refuses "padding of an unknown kind" 2 'reflect' "$BIN/train" --augment crop:4:wrap --output "$T/x"
refuses "jitter beyond its range" 2 'hue is a number from 0 to 0.5' \
    "$BIN/train" --augment flip,jitter:0.1:0.1:0.1:0.7 --output "$T/x"
refuses "preview under the name of another format" 2 'ends in .png' \
    "$BIN/train" --preview "$T/sheet.jpg" --dry-run
refuses "preview where nothing can be written" 4 'sheet.png' "$BIN/train" --preview "$T/none/sheet.png" --dry-run
prints "preview, with the classes of its images" 'row by row' \
    sh -c '"$1/train" --augment rrc,jitter:0.4,erase --preview "$2/sheet.png" --dry-run 2>&1' sh "$BIN" "$T"
prints "the preview is a PNG" 'PNG' head -c 8 "$T/sheet.png"
refuses "checkpoints outside the run folder" 2 'checkpoint-name' \
    "$BIN/train" --checkpoint-name ../x --max-steps 0 --output "$T/x"
refuses "a table outside the run folder" 2 'csv-name' "$BIN/train" --csv-name a/b.csv --max-steps 0 --output "$T/x"
refuses "image too small" 2 'image-size' "$BIN/train" --image-size 16 --output "$T/x"
refuses "fewer classes than the data" 2 'class' "$BIN/train" --data demo --num-classes 3 --output "$T/x"
refuses "flag without value" 2 'needs a value' "$BIN/train" --lr
has=$("$BIN/train" --version | sed -n 's/^instruction sets //p')
for set in avx1024 sse9; do
    refuses "unknown instruction set $set" 2 "'$set' is not one of this CPU's: .*portable" \
        "$BIN/train" --isa $set --output "$T/x"
    refuses "unknown RESNET_ISA $set" 2 "'$set' is not one of this CPU's: .*portable" \
        env RESNET_ISA=$set "$BIN/bench" --data-free
    for name in portable avx2 avx512 amx neon; do
        case " $has " in *" $name "*) continue ;; esac
        if grep -q "$name" "$T/err"; then fail "the list has only what this CPU has" "$(why)"; fi
    done
done
refuses "inference keeps no activations" 2 'checkpoint-activations' \
    "$BIN/bench" --mode infer --checkpoint-activations --data-free --image-size 32 --batch-sizes 1
refuses "table and plot in one file" 2 '--csv and --plot' "$BIN/bench" --csv "$T/x.svg" --plot "$T/x.svg"
works "dry run with --checkpoint-activations" "$BIN/train" --dry-run --checkpoint-activations
refuses "unknown preset" 2 'preset' "$BIN/train" --preset no-such --output "$T/x"
printf 'epochs = 1\nbatchsize = 3\n' >"$T/bad.conf"
refuses "unknown key, with file, line and the right one" 2 'bad.conf:2.*batch-size' \
    "$BIN/train" --config "$T/bad.conf" --output "$T/x"
refuses "config file that is not there" 3 'nowhere.conf' "$BIN/train" --config "$T/nowhere.conf"
case $(uname -m) in
x86_64) refuses "instruction set of another CPU" 2 'portable' env RESNET_ISA=neon "$BIN/train" --max-steps 1 --output "$T/x" ;;
*) refuses "instruction set of another CPU" 2 'portable' env RESNET_ISA=avx2 "$BIN/train" --max-steps 1 --output "$T/x" ;;
esac
if [ -e "$T/x" ]; then fail "a refused run leaves nothing" "$(ls "$T/x")"; else pass "a refused run leaves nothing"; fi

# -- what is given and cannot be used ----------------------------------------------------------------
mkdir "$T/short" "$T/empty"
for file in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
    head -c 1000 /dev/zero >"$T/short/$file.bin"
done
refuses "folder that is not there" 3 "$T/nowhere" "$BIN/train" --data "cifar10:$T/nowhere" --output "$T/x"
refuses "folder without the files" 3 "data_batch_1" "$BIN/train" --data "cifar10:$T/empty" --output "$T/x"
refuses "... says which script fetches them" 3 "sh datasets/fetch-cifar10.sh" \
    "$BIN/train" --preset cifar10 --data "cifar10:$T/empty" --output "$T/x"
refuses "likewise Fashion-MNIST" 3 "sh datasets/fetch-fashion-mnist.sh" \
    "$BIN/train" --data "fashion-mnist:$T/empty" --output "$T/x"
refuses "short CIFAR-10 file" 3 "data_batch_1.bin" "$BIN/train" --data "cifar10:$T/short" --output "$T/x"
refuses "Fashion-MNIST without files" 3 "$T/empty" "$BIN/train" --data "fashion-mnist:$T/empty" --output "$T/x"
refuses "checkpoint that is not there" 3 'nowhere' "$BIN/evaluate" --checkpoint "$T/nowhere.pth" --data demo
refuses "empty checkpoint" 3 'null' "$BIN/evaluate" --checkpoint /dev/null --data demo
printf 'PK\003\004garbage' >"$T/garbage.pth"
refuses "garbage checkpoint" 3 'garbage.pth' "$BIN/evaluate" --checkpoint "$T/garbage.pth" --data demo
printf '<!DOCTYPE html><html></html>' >"$T/page.pth"
refuses "web page as checkpoint" 3 'page.pth' "$BIN/evaluate" --checkpoint "$T/page.pth" --data demo
refuses "shared object that is none" 3 'garbage.pth' "$BIN/conform" --grad --backend "$T/garbage.pth"
refuses "a batch that no memory holds: bytes needed, bytes there" 4 '[0-9] bytes are needed, [0-9]* are there' \
    "$BIN/train" --data demo --arch resnet152 --stem cifar --upsample 2048 --batch-size 4096 --output "$T/x"
refuses "golden pack that is not there" 3 'index.json' "$BIN/conform" --check-golden "$T/empty" --backend cpu

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
last=$(ls "$T"/one/checkpoints/*_last.pth 2>/dev/null | head -n 1)
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
run_small winograd --resume "$last" --max-steps 4 --numerics fp32-winograd
if [ $status = 2 ] && grep -q -e '--numerics: fp32 there, fp32-winograd now' "$T/err"; then
    pass "--resume under another numerics: exit 2"
else
    fail "--resume under another numerics" "exit $status: $(why)"
fi
run_small winograd --resume "$last" --max-steps 3 --numerics fp32-winograd --force --threads 2000
if [ $status = 0 ] && grep -q '"numerics": "fp32-winograd"' "$T/winograd/summary.json"; then
    pass "--force goes on, and the summary names the numerics"
else
    fail "--resume --force under another numerics" "exit $status: $(why)"
fi
if grep -q 'capped to 1024' "$T/err"; then pass "2000 threads are capped, and it is said"
else fail "2000 threads are capped, and it is said" "$(why)"; fi
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
scaled=$(ls "$T"/first/checkpoints/*_last.pth 2>/dev/null | head -n 1)
run_small rest --resume "$scaled" --max-steps 6 --batch-size 2 --hash
grep '^step' "$T/out" >>"$T/parts.txt"
same "... resumed in the middle of them, the same bits" "$T/overflowed.txt" "$T/parts.txt"
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
prints "evaluate takes the checkpoint's numerics" '"numerics": "fp32-winograd"' \
    "$BIN/evaluate" --checkpoint "$T"/winograd/checkpoints/*_last.pth --data demo --limit 8 --json
works "evaluate under another numerics" \
    "$BIN/evaluate" --checkpoint "$T"/winograd/checkpoints/*_last.pth --data demo --limit 8 --numerics fp32
if grep -q 'trained under --numerics fp32-winograd' "$T/err"; then pass "... and it is said"
else fail "evaluate does not say that the checkpoint has another numerics" "$(why)"; fi
run_small other --resume "$last" --stem cifar
if [ $status = 3 ]; then pass "checkpoint of another stem: exit 3"; else fail "checkpoint of another stem" "exit $status"; fi
works "evaluate a checkpoint" "$BIN/evaluate" --checkpoint "$last" --data demo --limit 32
prints "evaluate as JSON" '"count": ?32' "$BIN/evaluate" --checkpoint "$last" --data demo --limit 32 --json

# -- evaluations -------------------------------------------------------------------------------------
# sh judge FLAG...: an evaluation of 24 images.
cat >"$T/judge" <<END
exec "$BIN/evaluate" --checkpoint "$last" --data demo --limit 24 --quiet "\$@"
END
timeless() { grep -v -e '"seconds"' -e '"images_per_second"'; }
sh "$T/judge" --json --logits "$T/l1.npy" --batch-size 24 --threads 1 | timeless >"$T/j1"
sh "$T/judge" --json --logits "$T/l2.npy" --batch-size 7 --threads 3 --workers 2 | timeless >"$T/j2"
same "evaluations are equal for any batch size and threads" "$T/j1" "$T/j2"
same "... and their logits" "$T/l1.npy" "$T/l2.npy"
sh "$T/judge" --json --tta flip --batch-size 24 | timeless >"$T/j1"
sh "$T/judge" --json --tta flip --batch-size 5 --threads 2 | timeless >"$T/j2"
same "... and with mirror images" "$T/j1" "$T/j2"
if grep -q '"tta": "flip"' "$T/j1"; then pass "the JSON says so"; else fail "the JSON says so"; fi
for key in per_class macro weighted ece reliability confusion; do
    if grep -q "^  \"$key\": " "$T/j1"; then pass "evaluate --json has $key"; else fail "evaluate --json has $key"; fi
done
prints "a table by class" '^     class +images +answers +correct +precision +recall +F1$' sh "$T/judge"
prints "calibration" '^calibration: expected error ' sh "$T/judge"
prints "size alone" '^parameters +11173962$' "$BIN/evaluate" --checkpoint "$last" --size --quiet
prints "size of a layer" '^layer4.1.conv2 +conv2d +512x2x2 +2359296 +9437184 ' "$BIN/evaluate" --checkpoint "$last" --size
prints "evaluation and size in one object" '"file_bytes": [0-9]' sh "$T/judge" --size --json
refuses "classes of another number: tensor and both shapes" 3 'fc.weight: the file has \[10, 512\], the net \[12, 512\]' \
    sh "$T/judge" --num-classes 12
refuses "... fewer than the data have" 3 'fc.weight is \[5, 512\], demo has 10 classes and needs \[10, 512\]' \
    sh "$T/judge" --num-classes 5
refuses "another stem: tensor and both shapes" 3 'conv1.weight: the file has \[64, 3, 3, 3\], the net \[64, 3, 7, 7\]' \
    sh "$T/judge" --stem imagenet
refuses "another architecture: tensor and both shapes" 3 'the file has \[64, 64, 3, 3\], the net \[64, 64, 1, 1\]' \
    sh "$T/judge" --arch resnet50
refuses "sensitivity of ten classes" 2 'target-sensitivity is for two classes' sh "$T/judge" --target-sensitivity 0.9
refuses "sensitivity in percent" 2 'target-sensitivity' sh "$T/judge" --target-sensitivity 98
refuses "positive class of ten" 2 'positive-class is for two classes' sh "$T/judge" --positive-class disc
refuses "ROC curve of ten classes" 2 'roc is for two classes' sh "$T/judge" --roc "$T/roc.csv"
refuses "PR curve of ten classes" 2 'pr is for two classes' sh "$T/judge" --pr "$T/pr.csv"
refuses "two outputs in one file" 2 '--logits and --confusion' sh "$T/judge" --logits "$T/x.svg" --confusion "$T/x.svg"
refuses "unknown augmentation at test time" 2 'flip' sh "$T/judge" --tta flop
refuses "logits where nothing can be written" 4 '/proc' sh "$T/judge" --logits /proc/nope/x.npy
refuses "confusion matrix as .jpg" 2 'png' sh "$T/judge" --confusion "$T/c.jpg"
if "$BIN/evaluate" --version | grep -q '^cairo  *found'; then
    works "confusion matrix as .png" sh "$T/judge" --confusion "$T/c.png"
    works "confusion matrix as .svg" sh "$T/judge" --confusion "$T/c.svg"
    if [ -s "$T/c.png" ] && grep -q '<svg' "$T/c.svg"; then pass "... they are there"; else fail "... they are there"; fi
else
    refuses "a drawing without cairo: what to install" 2 'libcairo2' sh "$T/judge" --confusion "$T/c.png"
fi
run "$BIN/train" --data demo:64 --arch resnet18 --stem imagenet --batch-size 4 --max-steps 1 --limit-train 8 \
    --limit-val 8 --quiet --output "$T/two"
two=$(ls "$T"/two/checkpoints/*_last.pth 2>/dev/null | head -n 1)
run "$BIN/evaluate" --checkpoint "$two" --data demo:64 --limit 24 --target-sensitivity 1 --json --quiet --roc "$T/roc.csv"
for key in '"sensitivity": 1' '"specificity": ' '"auc": ' '"threshold": ' '"false_negatives": 0'; do
    if grep -q "$key" "$T/out"; then pass "two classes: $key"; else fail "two classes: $key" "$(why)"; fi
done
if sed -n 2p "$T/roc.csv" | grep -q '^1,inf,0,0,0,1$' && tail -n 1 "$T/roc.csv" | grep -q ',12,12,1,0$'; then
    pass "the ROC curve from corner to corner"
else
    fail "the ROC curve from corner to corner" "$(tail -n 1 "$T/roc.csv")"
fi
name=$(sed -n 's/.*"positive_class": "\(.*\)".*/\1/p' "$T/out")
run "$BIN/evaluate" --checkpoint "$two" --data demo:64 --limit 24 --positive-class "${name:-none}" --json --quiet
if grep -q "\"positive_class\": \"$name\"" "$T/out" && grep -q '"threshold": 0.5' "$T/out"; then
    pass "--positive-class by its name"
else
    fail "--positive-class by its name" "$(why)"
fi
refuses "a class that there is not" 2 '0, ".*", and 1, "' \
    "$BIN/evaluate" --checkpoint "$two" --data demo:64 --limit 8 --positive-class nothing --quiet

# sh screen FLAG...: an evaluation of 24 images of two classes.
cat >"$T/screen" <<END
exec "$BIN/evaluate" --checkpoint "$two" --data demo:64 --limit 24 --quiet "\$@"
END
sh "$T/screen" --json --pr "$T/pr.csv" --threads 1 | timeless >"$T/j1"
sh "$T/screen" --json --bootstrap 1000 --threads 3 --batch-size 5 | timeless >"$T/j2"
same "intervals are equal for any threads" "$T/j1" "$T/j2"
for key in precision f1 accuracy balanced_accuracy average_precision; do
    if grep -q "^  \"$key\": " "$T/j1" && grep -q "^    \"$key\": \[" "$T/j1"; then pass "two classes: $key and its interval"
    else fail "two classes: $key and its interval"; fi
done
if tail -n 1 "$T/pr.csv" | grep -q ',12,12,1,0.5$'; then pass "the curve of precision ends at recall 1"
else fail "the curve of precision ends at recall 1" "$(tail -n 1 "$T/pr.csv")"; fi
sh "$T/screen" --json --bootstrap 0 >"$T/j1"
if grep -q '"bootstrap"' "$T/j1"; then fail "--bootstrap 0 makes none"; else pass "--bootstrap 0 makes none"; fi
sh "$T/screen" --json --target-sensitivity 0.9 >"$T/j1"
sh "$T/screen" --json --target-sensitivity 0.9 --split train >"$T/j2"
if grep -q '"threshold_split": "val"' "$T/j2" && grep -q '"same_images": false' "$T/j2"; then pass "val chooses for train"
else fail "val chooses for train"; fi
grep '"threshold_margin"' "$T/j1" >"$T/m1"; grep '"threshold_margin"' "$T/j2" >"$T/m2"
same "... the threshold it chooses for itself" "$T/m1" "$T/m2"
prints "... and says so where it is judged itself" 'chosen on the images it is judged on for sensitivity 90' \
    sh "$T/screen" --target-sensitivity 0.9 --split test
refuses "no positive images to choose by" 3 'none of the 1 images of demo:64, val, is of class' \
    sh "$T/screen" --limit 1 --target-sensitivity 0.9
prints "one class of images: nothing is known of the other" '^  "auc": null,$' sh "$T/screen" --limit 1 --json

# -- single pictures ---------------------------------------------------------------------------------
printf '\211PNG\015\012\032\012\000\000\000\015IHDR\000\000\000\002\000\000\000\002\010\000\000\000\000\127\335\122\370' >"$T/a.png"
printf '\000\000\000\016IDAT\170\234\143\020\370\300\360\101\000\000\006\006\002\001\353\157\072\157' >>"$T/a.png"
printf '\000\000\000\000IEND\256\102\140\202' >>"$T/a.png"
head -c 50 "$T/a.png" >"$T/cut.png"
if "$BIN/evaluate" --version | grep -q '^pictures .*libpng'; then
    prints "class of a picture" "a.png: .*, [0-9.]+ %\$" "$BIN/evaluate" --checkpoint "$two" --predict "$T/a.png" --quiet
    run "$BIN/evaluate" --checkpoint "$last" --predict "$T/a.png" "$T/a.png" --json --quiet --logits "$T/l1.npy"
    if [ "$(grep -c '{"file": ".*", "class": ".*", "class_index": [0-9], "probability": 0.*"top5": \[{' "$T/out")" = 2 ]; then
        pass "classes of two pictures as JSON"
    else
        fail "classes of two pictures as JSON" "$(why)"
    fi
    run "$BIN/evaluate" --checkpoint "$two" --predict "$T/none.png" "$T/a.png" "$T/cut.png" --quiet
    if [ $status = 3 ] && grep -q 'a.png: .* %$' "$T/out" && ! grep -q 'cut.png' "$T/out" &&
        grep -q 'none.png' "$T/err" && grep -q 'cut.png: ' "$T/err" && grep -q '2 of 3 pictures' "$T/err"
    then pass "pictures that cannot be read: the others are answered, exit 3"
    else fail "pictures that cannot be read: the others are answered, exit 3" "exit $status: $(why)"; fi
    refuses "nothing but a damaged picture" 3 'cut.png' "$BIN/evaluate" --checkpoint "$two" --predict "$T/cut.png" --quiet
    refuses "picture smaller than its crop" 2 'short side of 32 is too small' "$BIN/evaluate" --checkpoint "$two" \
        --image-size 64 --val-resize-size 32 --predict "$T/a.png" --quiet
else
    skip "single pictures: no libpng"
fi
refuses "picture that is not there" 3 'nowhere.png' "$BIN/evaluate" --checkpoint "$two" --predict nowhere.png --quiet
refuses "picture that is text" 3 'judge' "$BIN/evaluate" --checkpoint "$two" --predict "$T/judge" --quiet
refuses "picture with a list of answers" 2 'without --predictions' \
    "$BIN/evaluate" --checkpoint "$two" --predict "$T/a.png" --predictions "$T/answers.csv" --quiet
refuses "picture with labels" 2 'without --roc' \
    "$BIN/evaluate" --checkpoint "$two" --predict "$T/a.png" --roc "$T/roc.csv" --quiet
refuses "picture without --predict" 2 'pictures stand behind --predict' "$BIN/evaluate" --checkpoint "$two" "$T/a.png"

# -- folders of pictures -----------------------------------------------------------------------------
if "$BIN/train" --version | grep -q '^pictures .*libpng'; then
    photos="--data folder:$T/photos"
    works "a data set written as PNG files" "$BIN/convert" --images demo:64 --limit 8 --size 40 "$T/photos"
    refuses "... never into a folder that is there" 2 'exists' "$BIN/convert" --images demo:64 "$T/photos"
    refuses "... of classes that it has" 2 "no class 'cat'" "$BIN/convert" --images demo:64 --classes cat "$T/cats"
    echo 'no picture' >"$T/photos/train/smooth-above-striped/broken.png"
    refuses "--strict-data" 3 'broken.png' "$BIN/train" $photos --strict-data --output "$T/x"
    run_small pictures $photos --image-size 32 --hash
    mv "$T/out" "$T/hashes"
    if grep -q '/broken.png: is text' "$T/pictures/log.txt" && grep -q '"skipped_images": 1$' "$T/pictures/summary.json"
    then pass "the log lists what is left out, the summary counts it"
    else fail "the log lists what is left out, the summary counts it" "$(why)"; fi
    run_small pictures-2 $photos --image-size 32 --hash --cache-mb 0 --workers 3 --threads 1
    same "without cache, with other workers and threads: the same" "$T/hashes" "$T/out"
    own=$T/pictures/checkpoints/folder_last.pth
    mkdir "$T/photos/Test"
    refuses "a part under another name" 3 '"Test": images of test are expected in "test"' "$BIN/train" $photos --output "$T/x"
    mv "$T/photos/Test" "$T/photos/drafts"
    prints "a folder beside the parts: it is said" 'not looked at beside train, val and test: drafts$' \
        sh -c '"$1/evaluate" --checkpoint "$2" 2>&1' sh "$BIN" "$own"
    rmdir "$T/photos/drafts"
    prints "evaluated at the size that it was trained for" '^  "count": 16,$' "$BIN/evaluate" --checkpoint "$own" --json
    works "every answer, with its picture" "$BIN/evaluate" --checkpoint "$own" --predictions "$T/answers.csv" --quiet
    if [ "$(grep -cE '^/.*/photos/val/[^,]*\.png,[01],[a-z-]+,[01],[a-z-]+,[0-9.e-]+,[0-9.e-]+$' "$T/answers.csv")" = 16 ]
    then pass "... one line an image"; else fail "... one line an image" "$(tail -n 1 "$T/answers.csv")"; fi
    refuses "... where nothing can be written" 4 'answers.csv' \
        "$BIN/evaluate" --checkpoint "$own" --predictions "$T/none/answers.csv"
    # 32 out of 37 in the training: 64 out of 74, unless a flag says otherwise
    for flag in '' '--val-resize-size 74' '--val-resize-size 96'; do
        run "$BIN/evaluate" --checkpoint "$own" --image-size 64 $flag --logits "$T/l${flag##* }.npy" --quiet
    done
    same "another size crops the training's share" "$T/l.npy" "$T/l74.npy"
    if cmp -s "$T/l.npy" "$T/l96.npy"; then fail "--val-resize-size" "it changes nothing"; else pass "--val-resize-size"; fi
    prints "images of one class alone: it is said" 'limit 3: .* class "smooth-above-striped"; .* number 9$' \
        sh -c '"$1/evaluate" --checkpoint "$2" --limit 3 2>&1' sh "$BIN" "$own"
    prints "a share of a folder that is not divided: it is said" 'val is a share of it, 4 images' \
        sh -c '"$1/evaluate" --checkpoint "$2" --data "folder:$3" 2>&1' sh "$BIN" "$own" "$T/photos/train"
    mkdir -p "$T/only" && cp -R "$T/photos/val" "$T/only/test"
    prints "evaluated on a folder that has nothing but test" '^  "count": 16,$' \
        "$BIN/evaluate" --checkpoint "$own" --data "folder:$T/only" --split test --json
    refuses "... which is not enough for training" 3 'has test but no train' "$BIN/train" --data "folder:$T/only" --output "$T/x"
    refuses "--limit-train that leaves one class" 3 'at least 9 are' "$BIN/train" $photos --limit-train 8 --output "$T/x"
    another=$(ls "$T"/photos/val/striped-above-smooth/*.png | head -n 1)
    cp "$another" "$T/photos/train/striped-above-smooth/zz.png"
    refuses "resumed with another picture" 2 'data-pictures: 16 and 16 .* there, 17 and 16' \
        "$BIN/train" --resume "$own" --max-steps 3
    rm "$T/photos/train/smooth-above-striped/broken.png"
    refuses "--strict-data: the same picture in train and val" 3 '1 picture is in .*zz.png and ' \
        "$BIN/train" $photos --strict-data --output "$T/x"
    echo 'no picture' >"$T/photos/train/smooth-above-striped/broken.png"
    rm "$T/photos/train/striped-above-smooth/zz.png"
    run_small pictures $photos --image-size 32 --resume "$own" --max-steps 3
    if [ $status = 0 ]; then pass "... and without it again"; else fail "... and without it again" "$(why)"; fi
    mv "$T/photos/train/smooth-above-striped" "$T/photos/train/tartan"
    mv "$T/photos/val/smooth-above-striped" "$T/photos/val/tartan"
    both='classes there: smooth-above-striped, striped-above-smooth; here: striped-above-smooth, tartan'
    refuses "evaluation on other classes" 3 "$both" "$BIN/evaluate" --checkpoint "$own"
    refuses "resumed with other classes" 3 "$both" "$BIN/train" --resume "$own" --max-steps 3
    rm -r "$T/photos/train/tartan"
    refuses "a class that train has not" 3 'of train: striped-above-smooth; of val: striped' "$BIN/train" $photos
else
    skip "folders of pictures: no libpng"
fi

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
refuses "a report of no folder" 2 'give the folders' "$BIN/report"
refuses "a report of a folder without a run" 3 'args.conf' "$BIN/report" "$T/both"
echo '{' >"$T/two/bench.json"
refuses "a report with a damaged file" 3 'bench.json' "$BIN/report" "$T/two"

# -- the profiling study -----------------------------------------------------------------------------
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
    env DATA="cifar10:$T/empty" EXPERIMENT_DIR="$T/study" sh tools/experiments.sh "$BIN"
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
# 700 MB of address space hold a batch of 1 and not one of 8192.
run sh -c 'ulimit -v 700000; "$1/bench" --mode train --stem imagenet --image-size 32 --num-classes 10 --warmup 0 \
    --runs 1 --data-free --batch-sizes 1,8192 --threads 1 --json' sh "$BIN"
if [ $status = 0 ] && grep -q '"not_fitting": \[{"batch": 8192, "why": ".*memory' "$T/out"; then
    pass "a batch that does not fit is reported, and the others are measured"
else fail "a batch that does not fit" "exit $status: $(why)"; fi

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

# -- damage ------------------------------------------------------------------------------------------
size=$(wc -c <"${last:-/dev/null}")
for bytes in 4 100 1000 $((size / 2)) $((size - 1)); do
    head -c $bytes "${last:-/dev/null}" >"$T/cut.pth"
    refuses "checkpoint cut at $bytes" 3 'cut.pth' "$BIN/evaluate" --checkpoint "$T/cut.pth" --data demo
done
works "convert to safetensors" "$BIN/convert" "$last" "$T/a.safetensors" --weights-only
works "convert to npz" "$BIN/convert" "$T/a.safetensors" "$T/a.npz"
works "and back to .pth" "$BIN/convert" "$T/a.npz" "$T/a.pth"
"$BIN/convert" --list "$T/a.safetensors" >"$T/list1" 2>"$T/err"
"$BIN/convert" --list "$T/a.pth" >"$T/list2" 2>"$T/err"
if [ -s "$T/list1" ] && grep -q 'conv1.weight' "$T/list2"; then pass "convert --list names the tensors"
else fail "convert --list names the tensors" "$(why)"; fi
head -c 500 "$T/a.safetensors" >"$T/cut.safetensors"
refuses "cut safetensors file" 3 'cut.safetensors' "$BIN/convert" --list "$T/cut.safetensors"

# -- characterize ------------------------------------------------------------------------------------
C=$BIN/characterize
prints "characterize: known counts" '^ *MACs +1,814,073,344 +1,814,073,344 +1,696,059,392' "$C"
prints "characterize --json" '"macs_conv_linear": 555422720' "$C" --stem cifar --image-size 32 --num-classes 10 --json
prints "characterize --graph" '^\[4\] +layer1_0_conv1 +: Conv2d .*\[1, 64, 56, 56\]' "$C" --graph
prints "characterize --model seed" '"latency_ms": 37.8615[0-9]*, "energy_j": 3.7916' "$C" --model seed --json
refuses "--validate of other arithmetic" 2 'numerics fp32' "$C" --validate --numerics bf16
refuses "--validate of another backend" 2 'backend cpu, not fp32 on ref' "$C" --validate --backend ref
refuses "--model seed at another precision" 2 'fp32 alone, not --precision bf16' "$C" --model seed --precision bf16
refuses "--time-variants with no table to fill" 2 'needs --report' "$C" --time-variants
refuses "--graph and --json" 2 'exclude' "$C" --graph --json
refuses "--graph and --validate" 2 'exclude' "$C" --graph --validate
refuses "--measure and --validate" 2 'exclude' "$C" --measure "$T/hw.conf" --validate
prints "characterize --roadmap leaves grouped convolutions as they are" \
    'depthwise and 1x1", "macs": 4230479872, ' "$C" --arch resnext50_32x4d --roadmap --json
prints "characterize --roadmap --json" '"phase": "bf16".*"latency_ms_needs": "peak_bf16"' "$C" --roadmap --json
refuses "characterize: no such architecture" 2 'they are resnet18, ' "$C" --arch banana
prints "characterize --roadmap" 'not enlarged +148\.0 ' "$C" --image-size 64 --upsample 224 --num-classes 2 --roadmap
prints "a peak that is not known is N/A, with the key" 'N/A needs the key peak_fp32' "$C" --hardware tpu-v1
refuses "unknown hardware, with the nearest" 2 'did you mean gpu' "$C" --hardware gppu
refuses "unknown convention, with the nearest" 2 'did you mean ptflops' "$C" --convention ptflop
refuses "an image that is too small" 2 '32' "$C" --image-size 31
refuses "hardware file that is not there" 3 'nothing.conf' "$C" --hardware "$T/nothing.conf"
printf 'name = x\npeak_fp23 = 1\n' >"$T/hw.conf"
refuses "hardware file with an unknown key" 3 'hw.conf:2.*did you mean peak_fp32' "$C" --hardware "$T/hw.conf"
printf 'mine = conv2d batch_norm\n' >"$T/patterns.txt"
refuses "pattern file with a mistake: line and column" 3 'patterns.txt:1:15: .*batch_norm2d' "$C" --patterns "$T/patterns.txt"
works "characterize --dot and --report" "$C" --dot "$T/net.dot" --report "$T/characterized"
if grep -q 'conv1 -> bn1' "$T/net.dot" && grep -q '3628.15' "$T/characterized/report.md" &&
    grep -q '</html>' "$T/characterized/report.html" && grep -q '"title": "Conclusion"' "$T/characterized/report.json"
then pass "and what they write"; else fail "and what they write"; fi

# -- the machine -------------------------------------------------------------------------------------
LIMIT=60
refuses "output where nothing can be written" 4 '/proc' "$BIN/train" --data demo --max-steps 1 --quiet --output /proc/nope
status=0
(
    ulimit -f 64
    "$BIN/train" --data demo --stem cifar-pool --batch-size 8 --max-steps 1 --limit-train 16 --limit-val 8 \
        --quiet --output "$T/full"
) >"$T/out" 2>"$T/err" </dev/null || status=$?
if [ $status = 4 ] && ! ls "$T"/full/checkpoints/* >/dev/null 2>&1; then pass "no room for the checkpoint: exit 4, no torso"
else fail "no room for the checkpoint" "exit $status: $(why) $(ls "$T/full/checkpoints" 2>/dev/null | tr '\n' ' ')"; fi
finish
