#!/bin/sh
# Fetches Fashion-MNIST (30 MB) into DIR/fashion-mnist; DIR is datasets/ by default.
#   sh datasets/fetch-fashion-mnist.sh [DIR]
# FASHION_MNIST_URL names another folder that has the four .gz files.
. "$(dirname "$0")/fetch.sh"

url=${FASHION_MNIST_URL:-http://fashion-mnist.s3-website.eu-central-1.amazonaws.com}
parent=${1:-$(dirname "$0")}
place=$parent/fashion-mnist

# Of the unpacked content, so that a mirror that packed it again (as Debian does) passes too.
sums='train-images-idx3-ubyte c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888
train-labels-idx1-ubyte bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9
t10k-images-idx3-ubyte 5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b
t10k-labels-idx1-ubyte 0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34'

# Is the whole set there?
complete() {
    echo "$sums" | while read -r file sum; do matches "$place/$file" "$sum" || exit 1; done
}

if [ -e "$place" ]; then
    complete || fail "$place exists and is not Fashion-MNIST as published; move it away first"
    say "$place is complete"
    exit 0
fi
workspace "$parent"
mkdir "$work/checked"
echo "$sums" | while read -r file sum; do
    download "$url/$file.gz" "$work/$file.gz"
    gzip -dc "$work/$file.gz" >"$work/checked/$file" || fail "$url/$file.gz is no whole gzip file"
    verify "$work/checked/$file" "$sum"
done
mv "$work/checked" "$place"
say "$place is complete; train on it with --data fashion-mnist:$place"
