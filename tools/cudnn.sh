#!/bin/sh
# cudnn.sh - whether cuDNN 9 and cuBLAS are there for nvcc to compile and link with: cudnn.sh NVCC
# Prints the flags to compile with, `--`, and those to link with; nothing where they are not.  CUDNN_ROOT is a folder
# with include/ and lib/ (or lib64/) of both, or of cuDNN where nvcc finds cuBLAS by itself; else pkg-config is asked, and
# then the compiler's own folders are tried.
set -u
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
cat >"$T/fast.cpp" <<'END'
#include <cublas_v2.h>
#include <cudnn.h>
#if CUDNN_MAJOR < 9
#error "cuDNN 9 is needed"
#endif
int main(void) { return cudnnGetVersion() == 0 || cublasGetCudartVersion() == 0; }
END
nvcc=$1 root=${CUDNN_ROOT:-}
compile= folders=
if [ -n "$root" ]; then
    compile=-I$root/include
    for folder in "$root/lib64" "$root/lib"; do
        [ -d "$folder" ] && folders="$folders -L$folder -Xlinker -rpath=$folder"
    done
else
    compile=$(${PKG_CONFIG:-pkg-config} --cflags-only-I cudnn cublas 2>/dev/null) || compile=
    folders=$(${PKG_CONFIG:-pkg-config} --libs-only-L cudnn cublas 2>/dev/null) || folders=
fi
# A package for Python has the libraries under their versions' names alone.
for names in "-lcudnn -lcublas" "-l:libcudnn.so.9 -l:libcublas.so.13 -l:libcublasLt.so.13" \
    "-l:libcudnn.so.9 -l:libcublas.so.12 -l:libcublasLt.so.12"; do
    if $nvcc $compile -o "$T/fast" "$T/fast.cpp" $folders $(echo "$names" | sed 's/-l:/-Xlinker -l:/g') >/dev/null 2>&1
    then
        echo "-DRN_HAVE_CUDNN $compile -- $(echo "$folders" | sed 's/-Xlinker /-Wl,/g') $names"
        exit
    fi
done
