#!/bin/sh
# setup.sh - installs what a build needs and this machine lacks: a C11 compiler with OpenMP, make, zlib.
# Does nothing where nothing is missing; says what it installs; where it may not, fails with the command
# that an administrator would run.  `sh tools/setup.sh clang` also asks for clang with OpenMP, and
# `sh tools/setup.sh images` for libjpeg-turbo and libpng, with which folders of pictures are read.
set -u

T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT

# builds COMPILER: it makes a program that uses OpenMP, libm and zlib.
builds() {
    cat >"$T/try.c" <<'END'
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <zlib.h>
int main(void)
{
    int n = 0;
#pragma omp parallel for reduction(+ : n)
    for (int i = 0; i < 10; i++) n += i;
    printf("%s %d %d %d\n", zlibVersion(), n, omp_get_max_threads(), (int)sqrt((double)n));
    return 0;
}
END
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -std=c11 -O2 -fopenmp -o "$T/try" "$T/try.c" -lm -lz >"$T/log" 2>&1 && "$T/try" >"$T/log" 2>&1
}

complete() {
    command -v make >/dev/null 2>&1 && builds "${CC:-cc}" && { [ "$1" != clang ] || builds clang; } &&
        { [ "$1" != images ] || reads_images; }
}

# The compiler can link with both libraries of pictures.
reads_images() {
    case $(sh "${0%/*}/libraries.sh" "${CC:-cc}") in
    *JPEG*PNG*) ;;
    *) echo 'no program with <jpeglib.h> and <png.h> builds' >"$T/log"; false ;;
    esac
}

want=${1:-}
if complete "$want"; then
    echo "setup: nothing is missing"
    exit 0
fi

update= extra=
if command -v apt-get >/dev/null 2>&1; then
    update='apt-get update'
    install='apt-get install -y --no-install-recommends' packages='gcc libc6-dev make zlib1g-dev'
    [ "$want" = clang ] && extra='clang libomp-dev'
    [ "$want" = images ] && extra='libjpeg-dev libpng-dev'
elif command -v dnf >/dev/null 2>&1; then
    install='dnf install -y' packages='gcc make zlib-devel'
    [ "$want" = clang ] && extra='clang libomp-devel'
    [ "$want" = images ] && extra='libjpeg-turbo-devel libpng-devel'
elif command -v apk >/dev/null 2>&1; then
    install='apk add' packages='gcc musl-dev make zlib-dev'
    [ "$want" = clang ] && extra='clang openmp-dev'
    [ "$want" = images ] && extra='libjpeg-turbo-dev libpng-dev'
elif command -v pacman >/dev/null 2>&1; then
    install='pacman -S --needed --noconfirm' packages='gcc make zlib'
    [ "$want" = clang ] && extra='clang openmp'
    [ "$want" = images ] && extra='libjpeg-turbo libpng'
elif command -v brew >/dev/null 2>&1; then
    install='brew install' packages='gcc make zlib'
    [ "$want" = images ] && extra='jpeg-turbo libpng pkgconf'
else
    echo "setup: no apt-get, dnf, apk, pacman or brew here; install a C11 compiler with OpenMP, make and" \
        "zlib's headers by hand" >&2
    exit 1
fi
[ -z "$extra" ] || packages="$packages $extra"

# Homebrew refuses to run as root; the others must.
as=
if [ "$(id -u)" != 0 ] && [ "${install%% *}" != brew ]; then
    if command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as='sudo '
    else
        echo "setup: installing packages needs the administrator; this is the command:" >&2
        echo "    ${update:+$update && }$install $packages" >&2
        exit 1
    fi
fi

echo "setup: installing $packages"
export DEBIAN_FRONTEND=noninteractive
if [ -n "$update" ]; then
    echo "+ $as$update"
    $as$update || echo "setup: the lists of packages could not be renewed; going on with the old ones" >&2
fi
echo "+ $as$install $packages"
if ! $as$install $packages; then
    echo "setup: that failed; once its reason is mended, this is the command:" >&2
    echo "    ${update:+$as$update && }$as$install $packages" >&2
    exit 1
fi

if [ "${install%% *}" = brew ]; then
    newest=$(ls "$(brew --prefix)"/bin/gcc-[0-9]* 2>/dev/null | sort -t- -k2 -n | tail -n 1)
    echo "setup: Apple's clang has no OpenMP; build with: make CC=${newest:-gcc-14}"
    exit 0
fi
if complete "$want"; then
    echo "setup: done"
else
    echo "setup: the packages are there, but a test program still does not build:" >&2
    if [ -s "$T/log" ]; then cat "$T/log" >&2; else echo "make or ${CC:-cc} is not found" >&2; fi
    exit 1
fi
