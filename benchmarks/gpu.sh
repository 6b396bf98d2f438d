#!/bin/sh
# gpu.sh - the backend cuda on the GPU of this machine, in one command of less than eight minutes:
#
#     sh benchmarks/gpu.sh [FOLDER]          the results go to runs/gpu or FOLDER: gpu.md and what it is made of
#
# Builds with nvcc for this GPU alone; judges every slot by the reference, bit for bit; lets compute-sanitizer look for
# wrong accesses and races; compares the hashes of three steps with the CPU's; runs exp3 on the built-in data; times
# training steps against PyTorch in FP32 (TF32 off) where PyTorch sees the GPU.  Where cuDNN is there, the same of the
# numerics fast: gradients within their bounds, runs that repeat themselves with and without CUDA graphs, the sweep of
# exp4, exp5, fp16 against PyTorch's AMP.  What is not there is a row that says so.
# PYTHON=python3 chooses the one with PyTorch; CUDNN_ROOT=FOLDER says where cuDNN is.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
out=${1:-runs/gpu} build=build/gpu python=${PYTHON:-python3} failed=0
begin=$(date +%s)
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
table=$out/gpu.md

command -v nvcc >/dev/null || { echo "gpu.sh: there is no nvcc; CUDA 12 or newer is needed" >&2; exit 1; }
command -v nvidia-smi >/dev/null || { echo "gpu.sh: there is no NVIDIA driver on this machine" >&2; exit 1; }
gpu=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1)
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .)
[ -n "$capability" ] || { echo "gpu.sh: the driver sees no GPU" >&2; exit 1; }

left() { echo $((480 - ($(date +%s) - begin))); }
row() { printf '| %s | %s |\n' "$1" "$2" >>"$table"; echo "$1: $2"; }
# within SECONDS COMMAND...: no longer than that, nor than what is left of the eight minutes.
within() {
    most=$1 rest=$(left); shift
    [ "$rest" -lt "$most" ] && most=$rest
    [ "$most" -gt 0 ] || return 124
    timeout "$most" "$@"
}
# step NAME SECONDS LOG COMMAND...: a row with the last line of its output, or with what went wrong.
step() {
    name=$1 seconds=$2 log=$out/$3; shift 3
    within "$seconds" "$@" >"$log" 2>&1
    status=$?
    case $status in
    0) row "$name" "$(tail -n 1 "$log")" ;;
    124) row "$name" "not finished: no time left" ;;
    *) row "$name" "FAILED, exit $status: $(tail -n 1 "$log")"; failed=1 ;;
    esac
    return $status
}
# speed of ours: images a second out of the CSV of ./bench, the column of that name.
column() {
    awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i } NR > 1 { print $c }' "$2"
}

{
    echo "# The backend cuda on this machine"
    echo
    echo "| | |"
    echo "|---|---|"
} >"$table"
row "GPU, driver" "$gpu"
row "nvcc" "$(nvcc --version | tail -n 1)"
make -j"$(nproc)" BUILDDIR=$build CUDA=1 CUDA_ARCHS="sm_$capability" $build/bin/train $build/bin/conform \
    $build/bin/bench >"$out/build.log" 2>&1 || { row "build" "FAILED: $(tail -n 1 "$out/build.log")"; exit 1; }
row "build" "sm_$capability, $(($(date +%s) - begin)) s"

# -- bits ---------------------------------------------------------------------------------------------
$build/bin/conform --write-golden "$out/pack" --quiet >"$out/pack.log" 2>&1
step "every slot against the reference" 60 conform.log $build/bin/conform --backend cuda --check-golden "$out/pack"
step "gradients" 60 grad.log $build/bin/conform --backend cuda --grad
for backend in cpu cuda; do
    within 60 $build/bin/train --data demo --arch resnet18 --stem cifar --batch-size 16 --max-steps 3 --limit-val 4 \
        --hash --quiet --backend $backend --output "$out/hash-$backend" --overwrite 2>"$out/hash-$backend.log" |
        grep '^step ' >"$out/hash-$backend.txt"
done
if [ -s "$out/hash-cpu.txt" ] && cmp -s "$out/hash-cpu.txt" "$out/hash-cuda.txt"; then
    row "three steps of ResNet-18" "the CPU's weights: $(tail -n 1 "$out/hash-cuda.txt" | sed 's/.* //')"
else
    row "three steps of ResNet-18" "FAILED: other weights than the CPU's, or none"
    failed=1
fi

# -- the numerics fast ----------------------------------------------------------------------------------
fast=
$build/bin/train --version | grep -q '^CUDA .*cuDNN [0-9]' && fast=yes
# hashes NAME NUMERICS: the hash lines of six steps; with RESNET_CUDA_GRAPHS=no, without graphs.
hashes() {
    within 60 $build/bin/train --data demo --arch resnet18 --stem cifar --batch-size 16 --max-steps 6 --limit-val 4 \
        --hash --quiet --json --backend cuda --numerics "$2" --output "$out/fast" --overwrite 2>"$out/$1.log" >"$out/$1.out"
    grep '^step ' "$out/$1.out" >"$out/$1.txt"
}
if [ -z "$fast" ]; then
    row "numerics fast" "this build did not find cuDNN and cuBLAS: CUDNN_ROOT=FOLDER says where they are"
else
    row "cuDNN, cuBLAS" "$($build/bin/train --version | sed -n 's/^CUDA .*; //p')"
    for numerics in fast fast-fp16 fast-bf16; do
        step "gradients, $numerics" 40 "grad-$numerics.log" $build/bin/conform --backend cuda --grad --numerics $numerics
        hashes graphs $numerics
        RESNET_CUDA_GRAPHS=no hashes plain $numerics
        if [ -s "$out/graphs.txt" ] && cmp -s "$out/graphs.txt" "$out/plain.txt"; then
            row "six steps, $numerics" "the same weights with and without CUDA graphs;$(sed -n 's/.*"isa": \(.*\),/ \1/p' "$out/graphs.out")"
        else
            row "six steps, $numerics" "FAILED: other weights with CUDA graphs than without, or none"
            failed=1
        fi
    done
fi

# -- speed --------------------------------------------------------------------------------------------
# beside STEM NUMERICS FLAG...: a row with our speed, PyTorch's with these flags, and the ratio.
beside() {
    stem=$1 numerics=$2 name="training, stem $1, batch 64, $2" log=$out/bench-$1-$2; shift 2
    theirs=$(within 60 "$python" benchmarks/rivals/torch_gpu.py --stem $stem "$@" 2>"$log-torch.log" |
        sed -n 's/.*"images_per_second": \([0-9.]*\).*/\1/p')
    within 60 $build/bin/bench --backend cuda --mode train --stem $stem --image-size 32 --num-classes 10 \
        --batch-sizes 64 --warmup 10 --runs 50 --data-free --quiet --numerics $numerics --csv "$log.csv" >"$log.log" 2>&1
    ours=$(column images_per_second "$log.csv" 2>/dev/null)
    if [ -z "$ours" ]; then
        row "$name" "FAILED: $(tail -n 1 "$log.log")"
        failed=1
    elif [ -z "$theirs" ]; then
        row "$name" "$ours img/s; no PyTorch here: $(tail -n 1 "$log-torch.log")"
    else
        row "$name" "$ours img/s; PyTorch ${*:-with TF32 off} $theirs img/s; ratio $(awk "BEGIN { printf \"%.2f\", $ours / $theirs }")"
    fi
}
for stem in imagenet cifar; do
    beside $stem fp32
    [ -z "$fast" ] || beside $stem fast
    [ -z "$fast" ] || beside $stem fast-fp16 --amp
done
if [ -n "$fast" ]; then
    step "exp4, the sweep" 60 exp4.log $build/bin/bench --backend cuda --mode train --numerics fast-fp16 --stem imagenet \
        --image-size 32 --num-classes 10 --batch-sizes 16,32,64,128,256,512 --warmup 5 --runs 20 --data-free --quiet \
        --csv "$out/exp4.csv"
    step "exp5 on the built-in data, one epoch" 60 exp5.log $build/bin/train --preset exp5 --data demo --stem imagenet \
        --epochs 1 --output "$out/exp5" --overwrite
fi
step "exp3 on the built-in data, one epoch" 90 exp3.log $build/bin/train --preset exp3 --data demo --stem imagenet \
    --epochs 1 --output "$out/exp3" --overwrite

# -- sanitizer ----------------------------------------------------------------------------------------
if command -v compute-sanitizer >/dev/null; then
    step "memcheck" 120 memcheck.log compute-sanitizer --tool memcheck --error-exitcode 9 \
        $build/bin/conform --backend cuda --check-golden "$out/pack" --quiet
    [ -z "$fast" ] || step "memcheck, fast-fp16" 90 memcheck-fast.log compute-sanitizer --tool memcheck --error-exitcode 9 \
        $build/bin/conform --backend cuda --grad --numerics fast-fp16 --quiet
    step "racecheck" 120 racecheck.log compute-sanitizer --tool racecheck --error-exitcode 9 \
        $build/bin/conform --backend cuda --check-golden "$out/pack" --quiet
else
    row "memcheck, racecheck" "compute-sanitizer is not installed"
fi
row "time" "$(($(date +%s) - begin)) s"
echo "the table is $table"
exit $failed
