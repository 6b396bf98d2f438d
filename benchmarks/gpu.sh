#!/bin/sh
# gpu.sh - the backend cuda on the GPU of this machine, in one command of less than eight minutes:
#
#     sh benchmarks/gpu.sh [FOLDER]          the results go to runs/gpu or FOLDER: gpu.md and what it is made of
#
# Builds with nvcc for this GPU alone; judges every slot by the reference, bit for bit; compares the hashes of three
# steps with the CPU's; runs exp3 on the built-in data; times training steps against PyTorch in FP32 (TF32 off) where
# PyTorch sees the GPU; lets compute-sanitizer look for wrong accesses and races.  Where cuDNN is there, the same of the
# numerics fast: gradients within their bounds, runs that repeat themselves with and without CUDA graphs, the sweep of
# exp4, exp5, fp16 against PyTorch's AMP.  What is not there is a row that says so; what eight minutes were too short
# for is a row, too, and the last one lists it.  Exit status 0: no row FAILED.
# PYTHON=python3 chooses the one with PyTorch; CUDNN_ROOT=FOLDER says where cuDNN is; of several GPUs the first that
# CUDA_VISIBLE_DEVICES names is taken.
set -u
export LC_ALL=C CUDA_DEVICE_ORDER=PCI_BUS_ID # numbers of GPUs are nvidia-smi's
cd "$(dirname "$0")/.." || exit 1
out=${1:-runs/gpu} build=build/gpu python=${PYTHON:-python3} failed=0 missed= seconds=470
begin=$(date +%s)
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
table=$out/gpu.md

PATH=$PATH:${CUDA_HOME:-/usr/local/cuda}/bin
command -v nvcc >/dev/null || { echo "gpu.sh: there is no nvcc; CUDA 12 or newer is needed" >&2; exit 1; }
command -v nvidia-smi >/dev/null || { echo "gpu.sh: there is no NVIDIA driver on this machine" >&2; exit 1; }
# ask FIELDS: of the GPU that CUDA takes.
ask() {
    which=${CUDA_VISIBLE_DEVICES:-0}
    nvidia-smi --id="${which%%,*}" --query-gpu="$1" --format=csv,noheader 2>/dev/null ||
        nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null
}
gpu=$(ask name,driver_version | head -n 1)
capability=$(ask compute_cap | sed -n 's/^\([0-9]*\)\.\([0-9]\)$/\1\2/p' | head -n 1)
if [ -z "$capability" ]; then
    echo "gpu.sh: the driver does not say what GPU there is: $(nvidia-smi -L 2>&1 | head -n 1)" >&2
    exit 1
fi

left() { echo $((seconds - ($(date +%s) - begin))); }
row() { printf '| %s | %s |\n' "$1" "$2" >>"$table"; echo "$1: $2"; }
why() { tail -n 1 "$1" 2>/dev/null | cut -c1-200; }
wrong() { row "$1" "FAILED${2:+: $2}"; failed=1; }
# late NAME [TEXT]: a row for what there was no time for, after `within`.
late() {
    if [ "$(left)" -gt 0 ]; then row "$1" "${2:-}not finished in $most s"
    else row "$1" "${2:-}not reached: no time left"; fi
    missed="$missed${missed:+; }$1"
}
# within SECONDS COMMAND...: no longer than that, nor than what is left of the eight minutes; 124: that is not enough.
within() {
    most=$1 rest=$(left); shift
    [ "$rest" -lt "$most" ] && most=$rest
    [ "$most" -gt 0 ] || return 124
    timeout -k 5 "$most" "$@"
    ended=$?
    [ $ended = 137 ] && return 124
    return $ended
}
# step NAME SECONDS LOG COMMAND...: a row with the last line of its output, or with what went wrong.
step() {
    name=$1 limit=$2 log=$out/$3; shift 3
    within "$limit" "$@" >"$log" 2>&1
    status=$?
    case $status in
    0) row "$name" "$(why "$log")" ;;
    124) late "$name" ;;
    *) wrong "$name" "exit $status: $(why "$log")" ;;
    esac
}
# column NAME FILE: of the CSV of ./bench.
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
within "$seconds" make -j"$(nproc)" BUILDDIR=$build CUDA=1 CUDA_ARCHS="sm_$capability" $build/bin/train \
    $build/bin/conform $build/bin/bench >"$out/build.log" 2>&1
case $? in
0) row "build" "sm_$capability, $(($(date +%s) - begin)) s" ;;
124) row "build" "not finished in $seconds s: once more, and it goes on from there"; exit 1 ;;
*) wrong "build" "$(grep -i -m 1 -e error -e fatal "$out/build.log" || why "$out/build.log")"; exit 1 ;;
esac

# -- bits ---------------------------------------------------------------------------------------------
within 60 $build/bin/conform --write-golden "$out/pack" --quiet >"$out/pack.log" 2>&1
case $? in 0 | 124) ;; *) wrong "the reference's results" "$(why "$out/pack.log")" ;; esac
step "every slot against the reference" 60 conform.log $build/bin/conform --backend cuda --check-golden "$out/pack"
step "gradients" 60 grad.log $build/bin/conform --backend cuda --grad

# hashes NAME STEPS FLAG...: the hash lines of so many steps, in NAME.txt; $graphs says whether with CUDA graphs.
hashes() {
    file=$out/$1 steps=$2; shift 2
    within 60 env RESNET_CUDA_GRAPHS="$graphs" $build/bin/train --data demo --arch resnet18 --stem cifar --batch-size 16 \
        --max-steps "$steps" --limit-val 4 --hash --quiet --json --output "$file" --overwrite "$@" \
        2>"$file.log" >"$file.out"
    ended=$?
    grep '^step ' "$file.log" >"$file.txt" # on stderr, for stdout is the summary's
    return $ended
}
# alike NAME STATUS FILE STATUS FILE TEXT: a row with the text when both have the same hash lines, and some.
alike() {
    if [ "$2" = 124 ] || [ "$4" = 124 ]; then late "$1"
    elif [ "$2" != 0 ]; then wrong "$1" "exit $2: $(why "$3.log")"
    elif [ "$4" != 0 ]; then wrong "$1" "exit $4: $(why "$5.log")"
    elif [ -s "$3.txt" ] && cmp -s "$3.txt" "$5.txt"; then row "$1" "$6"
    else wrong "$1" "other weights: $(why "$3.txt") and $(why "$5.txt")"; fi
}
graphs=yes
hashes hash-cpu 3 --backend cpu
cpu=$?
hashes hash-cuda 3 --backend cuda
alike "three steps of ResNet-18" $cpu "$out/hash-cpu" $? "$out/hash-cuda" \
    "the CPU's weights: $(why "$out/hash-cuda.txt" | sed 's/.* //')"

# -- the numerics fast ----------------------------------------------------------------------------------
fast=
$build/bin/train --version | grep -q '^CUDA .*cuDNN [0-9]' && fast=yes
if [ -z "$fast" ]; then
    row "numerics fast" "this build did not find cuDNN and cuBLAS: CUDNN_ROOT=FOLDER says where they are"
else
    row "cuDNN, cuBLAS" "$($build/bin/train --version | sed -n 's/^CUDA .*; //p')"
    for numerics in fast fast-fp16 fast-bf16; do
        step "gradients, $numerics" 40 "grad-$numerics.log" $build/bin/conform --backend cuda --grad --numerics $numerics
        graphs=yes
        hashes graphs-$numerics 6 --backend cuda --numerics $numerics
        with=$? graphs=no
        hashes plain-$numerics 6 --backend cuda --numerics $numerics
        alike "six steps, $numerics" $with "$out/graphs-$numerics" $? "$out/plain-$numerics" "the same weights with and \
without CUDA graphs; $(sed -n 's/.*"isa": "\(.*\)",*$/\1/p' "$out/graphs-$numerics.out")"
    done
fi

# -- speed --------------------------------------------------------------------------------------------
# beside STEM NUMERICS FLAG...: a row with our speed, PyTorch's with these flags, and the ratio.
beside() {
    stem=$1 numerics=$2 name="training, stem $1, batch 64, $2" log=$out/bench-$1-$2; shift 2
    rm -f "$log.csv" # of another time
    within 60 $build/bin/bench --backend cuda --mode train --stem $stem --image-size 32 --num-classes 10 \
        --batch-sizes 64 --warmup 10 --runs 50 --data-free --quiet --numerics $numerics --csv "$log.csv" >"$log.log" 2>&1
    status=$? theirs=
    ours=$(column images_per_second "$log.csv" 2>/dev/null)
    if [ $status = 124 ]; then late "$name"; return; fi
    if [ $status != 0 ] || [ -z "$ours" ]; then wrong "$name" "exit $status: $(why "$log.log")"; return; fi
    within 60 "$python" benchmarks/rivals/torch_gpu.py --stem $stem "$@" >"$log-torch.out" 2>"$log-torch.log"
    status=$?
    theirs=$(sed -n 's/.*"images_per_second": \([0-9.]*\).*/\1/p' "$log-torch.out" 2>/dev/null)
    if [ $status = 124 ]; then late "$name" "$ours img/s; PyTorch "
    elif [ -z "$theirs" ]; then row "$name" "$ours img/s; no PyTorch here: $(why "$log-torch.log")"
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
row "not reached" "${missed:-nothing}"
echo "the table is $table"
exit $failed
