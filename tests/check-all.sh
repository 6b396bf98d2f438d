#!/bin/sh
# check-all.sh - what `make check-all` does: the tests, then every way of building and running that must
# give the same bits, then the tools that look for mistakes.  MAKE and JOBS come from the environment.  With
# CHECK_SECONDS set it ends by then: what does not fit is passed over, what is under way is ended, and both are skipped.
set -u
. tests/lib.sh
MAKE=${MAKE:-make} JOBS=${JOBS:-2}
begin=$(date +%s)
[ -z "${CHECK_SECONDS:-}" ] || export TEST_UNTIL=$((begin + CHECK_SECONDS))

stage() { echo "== $* ($(($(date +%s) - begin)) s)"; }

# late NAME SECONDS: says and counts what no longer fits; it needs about that long on two processors.
late() {
    [ -n "${TEST_UNTIL:-}" ] && [ $(($(date +%s) + $2)) -gt "$TEST_UNTIL" ] && skip "$1: no time left"
}

# script COMMAND...: one that ends itself when TEST_UNTIL comes; a little earlier, so that its counts are seen here.
# half_script COMMAND...: with half of the time that is left.
script() { run env ${TEST_UNTIL:+TEST_UNTIL=$((TEST_UNTIL - 20))} "$@"; }
half_script() { run env ${TEST_UNTIL:+TEST_UNTIL=$(((TEST_UNTIL + $(date +%s)) / 2))} "$@"; }

# add_counts NAME: adds the last `N passed, N failed[, N skipped]` of $T/out to ours.
add_counts() {
    set -- "$1" $(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed\(, \([0-9]*\) skipped\)*$/\1 \2 \4/p' "$T/out" |
        tail -n 1)
    if [ $# -lt 3 ]; then
        fail "$1" "ended early, exit $status: $(tail -n 1 "$T/err" | cut -c1-160)"
        return
    fi
    grep -E '^(FAIL|skip|     )' "$T/out"
    passed=$((passed + $2)) failed=$((failed + $3)) skipped=$((skipped + ${4:-0}))
    echo "     $1: $2 passed, $3 failed"
}

NUMERICS='fp32 fp32-winograd bf16'
fixed= # what programs of the sanitizers are called by

# train PROGRAM FILE NUMERICS [NAME=VALUE ...] [-- FLAG ...]: the hash lines of one step of a small net.
train() {
    program=$1 file=$2 numerics=$3; shift 3
    settings=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do settings="$settings $1"; shift; done
    [ $# = 0 ] || shift
    rm -rf "$T/run"
    run env $settings $fixed "$program" --data demo --arch resnet18 --stem cifar-pool --batch-size 3 --max-steps 1 \
        --limit-val 2 --hash --quiet --numerics "$numerics" --output "$T/run" "$@"
    if [ $status = 0 ]; then grep '^step ' "$T/out" >"$file"; else : >"$file"; fi
}

# trains_alike NAME PROGRAM [NAME=VALUE ...] [-- FLAG ...]: under each numerics, the wanted hash lines; skipped
# where the machine has not what is asked for, and then false.
trains_alike() {
    label=$1 built=$2; shift 2
    for each in $NUMERICS; do
        train "$built" "$T/got" "$each" "$@"
        if [ $status = 2 ]; then
            skip "$label: $(why)"
            return 1
        fi
        same "$label, $each" "$T/want.$each" "$T/got"
    done
}

# -- the tests ---------------------------------------------------------------------------------------
LIMIT=900
stage "make test"
run $MAKE -j"$JOBS" all tests
if [ $status != 0 ]; then
    fail "build" "exit $status: $(why)"
    finish
    exit 1
fi
if command -v "${CXX:-c++}" >/dev/null; then
    run $MAKE -j"$JOBS" cuda-emulated # for tests/cuda.sh
    [ $status = 0 ] || fail "make cuda-emulated" "exit $status: $(why)"
fi
LIMIT=3600
script LIMIT=300 TEST_SECONDS=900 sh tests/run.sh build/release .
LIMIT=900
add_counts "tests"
for each in $NUMERICS; do
    train ./train "$T/want.$each" "$each" OMP_NUM_THREADS=2
    [ -s "$T/want.$each" ] || fail "a run to compare with" "$(why)"
done
if [ "$(cat "$T"/want.* | sort -u | wc -l)" = "$(echo $NUMERICS | wc -w)" ]; then pass "each numerics has its own bits"
else fail "each numerics has its own bits"; fi

# -- the same bits -----------------------------------------------------------------------------------
stage "instruction sets and threads"
for isa in portable avx2 avx512 amx neon; do
    for threads in 1 2 3 6 8; do
        trains_alike "$isa, $threads threads" ./train RESNET_ISA=$isa OMP_NUM_THREADS=$threads || break
    done
done
trains_alike "backend ref" ./train -- --backend ref
if ! late "20 steps" 150; then
    half_script LIMIT=600 sh tests/bits.sh . --long
    add_counts "20 steps"
fi

if ! late "killed and resumed" 120; then
    half_script LIMIT=600 bash tests/kill.sh . 10
    add_counts "killed and resumed"
fi

stage "the one-line build"
if ! late "one-line build" 90; then
    run $MAKE bare
    if [ $status = 0 ]; then pass "builds"; else fail "builds" "$(grep -m1 error "$T/err" || why)"; fi
    for cc in gcc clang; do
        [ -x build/bare/train-$cc ] || { skip "$cc: not installed"; continue; }
        trains_alike "one-line build, $cc" build/bare/train-$cc
    done
fi

stage "compilers and optimisation"
for cc in gcc clang; do
    command -v $cc >/dev/null || { skip "$cc: not installed"; continue; }
    for level in 0 1 2 3; do
        late "$cc -O$level" 60 && continue
        dir=build/check/$cc-O$level
        run $MAKE -j"$JOBS" BUILDDIR=$dir CC=$cc OPT=-O$level $dir/bin/train
        if [ $status != 0 ]; then fail "$cc -O$level" "does not build: $(why)"; continue; fi
        trains_alike "$cc -O$level" $dir/bin/train
        trains_alike "$cc -O$level, portable" $dir/bin/train RESNET_ISA=portable
    done
done

# -- gradients, golden packs --------------------------------------------------------------------------
stage "gradients"
for each in $NUMERICS; do
    for backend in cpu ref; do
        run ./conform --grad --numerics $each --backend $backend
        if [ $status = 0 ]; then pass "gradients of $backend against central differences, $each"
        else fail "gradients of $backend, $each" "exit $status: $(why)"; fi
    done
done
for name in conv_dw conv_tile bn_dx bn_mask bn_train bn_apply bias fold unpack pool linear add; do
    run $MAKE gradcheck BREAK=$name
    if [ $status != 0 ] && grep -q "FAIL.*${name%%_*}\|${name%%_*}.*FAIL" "$T/out"; then pass "a broken $name is caught"
    else fail "a broken $name is caught" "exit $status: $(grep -m1 -i fail "$T/out")"; fi
done
for each in $NUMERICS; do
    for pack in g1 g2; do
        rm -rf "$T/$pack"
        run ./conform --write-golden "$T/$pack" --numerics $each
        [ $status = 0 ] || fail "writes a golden pack" "exit $status: $(why)"
    done
    if [ -s "$T/g1/index.json" ] && diff -r "$T/g1" "$T/g2" >/dev/null; then pass "golden packs are the same bytes, $each"
    else fail "golden packs are the same bytes, $each"; fi
    for isa in portable avx2 avx512 amx neon; do
        run ./conform --check-golden "$T/g1" --numerics $each --backend cpu --isa $isa
        if [ $status = 0 ]; then pass "$isa against the golden pack, $each"
        elif [ $status = 2 ]; then skip "$isa: $(why)"
        else fail "$isa against the golden pack, $each" "exit $status: $(why)"; fi
    done
done

stage "a broken gradient shows on the built-in set"
if ! late "slow_zeroed" 100; then
    run build/release/tests/slow_zeroed
    if [ $status = 0 ]; then pass "$(head -n 1 "$T/out")"; else fail "slow_zeroed" "$(head -n 1 "$T/out") $(why)"; fi
fi

# -- warnings, CUDA, installation ---------------------------------------------------------------------
stage "lint"
run $MAKE lint
if [ $status = 0 ]; then pass "lint"
else fail "lint" "$(grep -E 'warning|error|more than' "$T/out" "$T/err" | head -n 3 | cut -d: -f2- | tr '\n' ' ')"; fi

stage "cuda"
if ! late "cuda, emulated" 200; then
    script BUILD_FOLDER=build/release sh tests/cuda.sh . --long
    add_counts "cuda, emulated"
fi
if ! command -v nvcc >/dev/null; then skip "make CUDA=1: no nvcc"
elif ! late "make CUDA=1" 600; then
    LIMIT=3600
    run $MAKE -j"$JOBS" BUILDDIR=build/with-cuda CUDA=1 build/with-cuda/bin/train build/with-cuda/bin/conform
    if [ $status = 0 ] && ! grep -q warning "$T/err"; then pass "make CUDA=1 compiles without warnings"
    else fail "make CUDA=1 compiles without warnings" "exit $status: $(why)"; fi
    prints "make CUDA=1 says so" '^CUDA +sm_' build/with-cuda/bin/train --version
    refuses "cuda without a device" 1 'backend cuda' env CUDA_VISIBLE_DEVICES= build/with-cuda/bin/train --backend cuda \
        --data demo --max-steps 1 --output "$T/none"
    run build/with-cuda/bin/conform --write-golden "$T/pack" --quiet
    run build/with-cuda/bin/conform --backend cuda --check-golden "$T/pack"
    if [ $status = 0 ]; then pass "cuda: $(tail -n 1 "$T/out")"
    elif [ -s "$T/out" ]; then fail "cuda on this GPU" "$(tail -n 1 "$T/out")"
    else skip "cuda on a GPU: $(why)"; fi
    LIMIT=900
fi

stage "installation"
run $MAKE -j"$JOBS" install DESTDIR="$T/root" PREFIX=/usr
cat >"$T/use.c" <<'END'
#include <resnet.h>
int main(void) { return rn_ops_ref.version != RN_BACKEND_VERSION; }
END
if [ $status = 0 ] && "$T/root/usr/bin/resnet-train" --version >/dev/null &&
    cc -I"$T/root/usr/include" -o "$T/use" "$T/use.c" -L"$T/root/usr/lib" -lresnet 2>"$T/err" &&
    LD_LIBRARY_PATH="$T/root/usr/lib" "$T/use"; then pass "installed programs, headers and library work"
else fail "installed programs, headers and library work" "$(why)"; fi

# -- peers -------------------------------------------------------------------------------------------
stage "peers"
# RESNET_PTH names a folder of checkpoints that PyTorch wrote elsewhere; without it only those made here are read.
if [ -f build/peers/ready ] && ! late "check_pth" 60; then
    run build/peers/bin/python tests/peers/check_pth.py --convert ./convert ${RESNET_PTH:+"$RESNET_PTH"/*}
    if [ $status = 0 ]; then pass "check_pth: $(tail -n 1 "$T/out")"; else fail "check_pth" "$(tail -n 1 "$T/out")"; fi
else
    skip "check_pth: no build/peers (make peers), or no time"
fi
for script in torch_step load_checkpoint check_metrics check_screening resume_torch check_amp imagenet_weights check_twin check_images check_pixels check_folder check_trace check_flops; do
    if [ ! -f build/peers/ready ]; then skip "$script: no build/peers (make peers)"; continue; fi
    late "$script" 120 && continue
    run build/peers/bin/python tests/peers/$script.py
    if [ $status = 0 ]; then pass "$script: $(tail -n 1 "$T/out")"; else fail "$script" "$(why) $(tail -n 1 "$T/out")"; fi
done

# -- sanitizers --------------------------------------------------------------------------------------
# Where time is short, each kind gets its share, for as many of the test programs as fit.  Addresses are fixed where
# that is allowed, for gcc 12's sanitizers may die on a kernel that draws them from more than 28 bits.  Undefined
# arithmetic is clang's to find, where there is clang: it sees more, such as offsets to NULL.
setarch -R true 2>/dev/null && fixed='setarch -R'
for kind in asan ubsan; do
    late "$kind" 120 && continue
    stage "$kind"
    compiler=
    [ $kind = ubsan ] && echo 'int main(void) { return 0; }' | clang -fopenmp -fsanitize=undefined -o "$T/probe" -x c - \
        2>/dev/null && compiler=CC=clang
    run $MAKE -j"$JOBS" BUILD=$kind $compiler all tests
    if [ $status != 0 ]; then fail "$kind" "does not build: $(why)"; continue; fi
    run $fixed build/$kind/bin/train --version
    if grep -q 'LeakSanitizer has encountered a fatal error' "$T/out" "$T/err"; then
        skip "$kind: leaks: the system does not let LeakSanitizer look for them"
        export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
    fi
    scripts=
    late "$kind: shell tests" 5400 && scripts=programs
    LIMIT=7200
    if [ $kind = asan ]; then share=half_script; else share=script; fi
    $share TEST_SECONDS=3600 LIMIT=600 $fixed sh tests/run.sh build/$kind build/$kind/bin $scripts
    LIMIT=900
    add_counts "$kind"
    late "$kind, a step of training" 60 || trains_alike "$kind, a step of training" build/$kind/bin/train
done
finish
