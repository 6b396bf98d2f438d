#!/bin/sh
# install.sh - what `make install` does: install.sh ROOT PREFIX VERSION BUILDDIR LIBRARIES PROGRAM...
# ROOT is $DESTDIR$PREFIX; PREFIX alone goes into resnet.pc, for that is where the files will be used, and so do
# LIBRARIES, what ours is linked with.
set -eu
root=$1 prefix=$2 version=$3 build=$4 libraries=$5
shift 5
major=${version%%.*}

put() { # put MODE FILE PLACE
    mkdir -p "$(dirname "$3")"
    cp "$2" "$3.new"
    chmod "$1" "$3.new"
    mv -f "$3.new" "$3"
    echo "  $3"
}

for program; do put 755 "$build/bin/$program" "$root/bin/resnet-$program"; done
put 644 "$build/libresnet.a" "$root/lib/libresnet.a"
put 755 "$build/libresnet.so.$major" "$root/lib/libresnet.so.$major"
ln -sf "libresnet.so.$major" "$root/lib/libresnet.so"
put 644 include/resnet.h "$root/include/resnet.h"
put 644 include/resnet_backend.h "$root/include/resnet_backend.h"
for file in tools/presets/*.conf; do
    if [ -f "$file" ]; then put 644 "$file" "$root/share/resnet/presets/${file##*/}"; fi
done
for file in tools/hw/*.conf; do put 644 "$file" "$root/share/resnet/hw/${file##*/}"; done

mkdir -p "$root/lib/pkgconfig"
cat >"$root/lib/pkgconfig/resnet.pc" <<END
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: resnet
Description: Residual networks with reproducible bits
Version: $version
Libs: -L\${libdir} -lresnet
Libs.private: -fopenmp $libraries
Cflags: -I\${includedir}
END
echo "  $root/lib/pkgconfig/resnet.pc"
