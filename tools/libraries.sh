#!/bin/sh
# libraries.sh - which of the optional libraries a compiler can compile and link with: libraries.sh COMPILER FLAG ...
# Prints the flags for the files that use them, `--`, and those to link with; nothing for what is not there.
# pkg-config says where they are ($PKG_CONFIG names another one, of another target), but whether they are there
# is decided by a program that uses them, so that a cross compiler never gets the host's.
set -u
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
cat >"$T/jpeg.c" <<'END'
#include <stdio.h>
#include <jpeglib.h>
int main(void) { struct jpeg_error_mgr e; return !jpeg_std_error(&e); }
END
cat >"$T/png.c" <<'END'
#include <png.h>
int main(void) { return !png_access_version_number(); }
END

compile= link=
# try NAME LIBRARY: pkg-config's name, and what it is called without pkg-config.
try() {
    there=$(${PKG_CONFIG:-pkg-config} --cflags "lib$1" 2>/dev/null) || there=
    how=$(${PKG_CONFIG:-pkg-config} --libs "lib$1" 2>/dev/null) || how="-l$1"
    $cc "$T/$1.c" $there -o "$T/$1" $how -lz -lm >/dev/null 2>&1 || return 0
    compile="$compile $2 $there" link="$link $how"
}
cc=$*
try jpeg -DRN_HAVE_JPEG
try png -DRN_HAVE_PNG
echo $compile -- $link
