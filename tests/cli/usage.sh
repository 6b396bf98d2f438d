#!/bin/sh
# usage.sh - what the programs say before any work: help, versions, flags, files that they cannot use.
. tests/lib.sh

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
refuses "profile: a batch beyond the set" 2 'batch-size: 60000 images; demo has' \
    "$BIN/profile" --data demo --batch-size 60000 --output "$T/x"
refuses "a profiled training: a batch beyond the set" 2 'batch-size: 60000 images; demo has' \
    "$BIN/train" --preset exp1 --data demo --batch-size 60000 --output "$T/x"
refuses "bench: a batch beyond the set, before there is no memory for it" 2 'batch-sizes: 60000 images; demo has' \
    "$BIN/bench" --mode train --stem cifar --image-size 32 --data demo --batch-sizes 60000 --runs 1 --warmup 0
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
for batch in 30000 100000 16777216; do
    refuses "bench of $batch images: bytes needed, bytes there" 4 '[0-9] bytes .*needed' \
        "$BIN/bench" --data-free --mode train --stem cifar --image-size 32 --num-classes 10 --batch-sizes $batch --runs 1
done
for program in train bench profile characterize; do
    refuses "$program: unknown numerics, and those that there are" 2 "'fp31'; it has: fp32 fp32-winograd bf16" \
        "$BIN/$program" --numerics fp31
done
refuses "golden pack that is not there" 3 'index.json' "$BIN/conform" --check-golden "$T/empty" --backend cpu

# -- threads -----------------------------------------------------------------------------------------
threads() { "$@" "$BIN/train" --dry-run --json 2>/dev/null | sed -n 's/.*"threads": \([0-9]*\).*/\1/p'; }
if [ "$(threads env)" = "$(threads env OMP_PROC_BIND=close OMP_PLACES=threads)" ]; then pass "bound threads are as many"
else fail "bound threads are as many" "$(threads env OMP_PROC_BIND=close OMP_PLACES=threads) instead of $(threads env)"; fi

finish
