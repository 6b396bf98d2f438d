#!/bin/sh
# lint.sh - compiles every C file with strict warnings as errors: lint.sh FLAGS.  A compiler that is not
# installed is said and passed over; at least one must be there.  (tests/broken is checked where it is
# included, by test_conform.c.)
set -u
flags=$1 ran=0 bad=0
for cc in gcc clang; do
    command -v $cc >/dev/null || { echo "$cc: not installed, skipped"; continue; }
    ran=1
    if find src ref tools tests benchmarks -name '*.c' ! -path 'tests/broken/*' | sort |
        xargs -P "${JOBS:-$(getconf _NPROCESSORS_ONLN)}" -n 4 $cc -O1 $flags -fsyntax-only; then
        echo "$cc: no warnings"
    else
        bad=1
    fi
done
[ $ran = 1 ] && [ $bad = 0 ]
