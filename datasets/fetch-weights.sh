#!/bin/sh
# Fetches torchvision's ResNet-18, trained on ImageNet (45 MB), into DIR; DIR is datasets/ by default.
#   sh datasets/fetch-weights.sh [DIR] [resnet18-f37072fd | resnet18-5c106cde]
# The first is today's file (a zip), and what comes when nothing is said; the second has the same weights as they
# were published in 2017 (a tar archive).  WEIGHTS_URL names another folder that has them.
. "$(dirname "$0")/fetch.sh"

url=${WEIGHTS_URL:-https://download.pytorch.org/models}
parent=${1:-$(dirname "$0")}
file=${2:-resnet18-f37072fd}
file=${file%.pth}.pth

case $file in
    resnet18-f37072fd.pth) sum=f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec ;;
    resnet18-5c106cde.pth) sum=5c106cde386e87d4033832f2996f5493238eda96ccf559d1d62760c4de0613f8 ;;
    *) fail "$file: there are resnet18-f37072fd and resnet18-5c106cde" ;;
esac

if [ -e "$parent/$file" ]; then
    matches "$parent/$file" "$sum" || fail "$parent/$file exists and is not the one published; move it away first"
else
    workspace "$parent"
    download "$url/$file" "$work/$file"
    verify "$work/$file" "$sum"
    mv "$work/$file" "$parent/$file"
fi
say "$parent/$file is complete; start from it with --weights $parent/$file"
