#!/bin/sh
# Fetches CIFAR-10, binary version (162 MB), into DIR/cifar-10-batches-bin; DIR is datasets/ by default.
#   sh datasets/fetch-cifar10.sh [DIR]
# CIFAR10_URL names another place that has cifar-10-binary.tar.gz.
. "$(dirname "$0")/fetch.sh"

url=${CIFAR10_URL:-https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz}
parent=${1:-$(dirname "$0")}
place=$parent/cifar-10-batches-bin

sums='data_batch_1.bin cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5
data_batch_2.bin a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed
data_batch_3.bin bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67
data_batch_4.bin 014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48
data_batch_5.bin 755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add
test_batch.bin 8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b'

# Is the whole set there?
complete() {
    echo "$sums" | while read -r file sum; do matches "$place/$file" "$sum" || exit 1; done
}

if [ -e "$place" ]; then
    complete || fail "$place exists and is not CIFAR-10 as published; move it away first"
    say "$place is complete"
    exit 0
fi
workspace "$parent"
download "$url" "$work/archive.tar.gz"
tar -xzf "$work/archive.tar.gz" -C "$work" || fail "$url is no whole .tar.gz archive"
mkdir "$work/checked"
echo "$sums" | while read -r file sum; do
    verify "$work/cifar-10-batches-bin/$file" "$sum"
    mv "$work/cifar-10-batches-bin/$file" "$work/checked/$file"
done
mv "$work/checked" "$place"
say "$place is complete; train on it with --data cifar10:$place"
