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
for program in train evaluate bench convert conform; do
    prints "$program --help names the exit statuses" '^Exit status' "$BIN/$program" --help
    prints "$program --version" '^[a-z]+ \(resnet\.c\) [0-9]+\.[0-9]+' "$BIN/$program" --version
    refuses "$program --no-such-flag" 2 'no-such-flag' "$BIN/$program" --no-such-flag
    refuses "$program --threads 0" 2 'threads' "$BIN/$program" --threads 0
done
prints "help shows the defaults" '--numerics.*' "$BIN/train" --help
prints "help ends with examples" '^Examples' "$BIN/train" --help
prints "version lists instruction sets" '^instruction sets .*portable' "$BIN/train" --version
prints "version lists numerics" '^numerics +fp32 fp32-winograd$' "$BIN/train" --version
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
refuses "backend that is not built in" '1' 'cuda' "$BIN/train" --backend cuda --max-steps 1 --output "$T/x"
for numerics in bf16 int8 fast; do
    refuses "numerics that the backend has not: $numerics" 2 "'$numerics'.* cpu has fp32, fp32-winograd" \
        "$BIN/train" --numerics $numerics --output "$T/x"
done
refuses "golden pack under numerics that ref has not" 2 "'bf16'.* ref has fp32" \
    "$BIN/conform" --write-golden "$T/x" --numerics bf16
refuses "unknown numerics, with those there are" 2 'fp33.*fp32-winograd' "$BIN/train" --numerics fp33 --output "$T/x"
refuses "a fraction of a thread" 2 'threads' "$BIN/train" --threads 0.5 --output "$T/x"
refuses "an unknown instruction set for ref, too" 2 'avx1024' "$BIN/train" --backend ref --isa avx1024 --output "$T/x"
refuses "batch of no image" 2 'batch-size' "$BIN/train" --batch-size 0 --output "$T/x"
refuses "negative epochs" 2 'epochs' "$BIN/train" --epochs -1 --output "$T/x"
refuses "number out of range" 2 '1e999' "$BIN/train" --lr 1e999 --output "$T/x"
refuses "not a number" 2 'nan' "$BIN/train" --lr nan --output "$T/x"
refuses "decimal comma" 2 '0,1' "$BIN/train" --lr 0,1 --output "$T/x"
refuses "unknown augmentation" 2 'flop' "$BIN/train" --augment flop --output "$T/x"
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
works "evaluate under another numerics" "$BIN/evaluate" --checkpoint "$T"/winograd/checkpoints/*_last.pth --data demo --limit 8
if grep -q 'trained under --numerics fp32-winograd' "$T/err"; then pass "... and it is said"
else fail "evaluate does not say that the checkpoint has another numerics" "$(why)"; fi
run_small other --resume "$last" --stem cifar
if [ $status = 3 ]; then pass "checkpoint of another stem: exit 3"; else fail "checkpoint of another stem" "exit $status"; fi
works "evaluate a checkpoint" "$BIN/evaluate" --checkpoint "$last" --data demo --limit 32
prints "evaluate as JSON" '"count": ?32' "$BIN/evaluate" --checkpoint "$last" --data demo --limit 32 --json
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
