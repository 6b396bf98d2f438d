#!/bin/sh
# characterize.sh - counts, graphs, hardware files and roadmaps as ./characterize prints them.
. tests/lib.sh

C=$BIN/characterize
prints "characterize: known counts" '^ *MACs +1,814,073,344 +1,814,073,344 +1,696,059,392' "$C"
prints "characterize --json" '"macs_conv_linear": 555422720' "$C" --stem cifar --image-size 32 --num-classes 10 --json
prints "characterize --graph" '^\[4\] +layer1_0_conv1 +: Conv2d .*\[1, 64, 56, 56\]' "$C" --graph
prints "characterize --model seed" '"latency_ms": 37.8615[0-9]*, "energy_j": 3.7916' "$C" --model seed --json
refuses "--validate of other arithmetic" 2 'numerics fp32' "$C" --validate --numerics bf16
refuses "--validate of another backend" 2 'backend cpu, not fp32 on ref' "$C" --validate --backend ref
refuses "--model seed at another precision" 2 'fp32 alone, not --precision bf16' "$C" --model seed --precision bf16
refuses "--time-variants with no table to fill" 2 'needs --report' "$C" --time-variants
refuses "--graph and --json" 2 'exclude' "$C" --graph --json
refuses "--graph and --validate" 2 'exclude' "$C" --graph --validate
refuses "--measure and --validate" 2 'exclude' "$C" --measure "$T/hw.conf" --validate
prints "characterize --roadmap leaves grouped convolutions as they are" \
    'depthwise and 1x1", "macs": 4230479872, ' "$C" --arch resnext50_32x4d --roadmap --json
prints "characterize --roadmap --json" '"phase": "bf16".*"latency_ms_needs": "peak_bf16"' "$C" --roadmap --json
refuses "characterize: no such architecture" 2 'they are resnet18, ' "$C" --arch banana
prints "characterize --roadmap" 'not enlarged +148\.0 ' "$C" --image-size 64 --upsample 224 --num-classes 2 --roadmap
prints "a peak that is not known is N/A, with the key" 'N/A needs the key peak_fp32' "$C" --hardware tpu-v1
refuses "unknown hardware, with the nearest" 2 'did you mean gpu' "$C" --hardware gppu
refuses "unknown convention, with the nearest" 2 'did you mean ptflops' "$C" --convention ptflop
refuses "an image that is too small" 2 '32' "$C" --image-size 31
refuses "hardware file that is not there" 3 'nothing.conf' "$C" --hardware "$T/nothing.conf"
printf 'name = x\npeak_fp23 = 1\n' >"$T/hw.conf"
refuses "hardware file with an unknown key" 3 'hw.conf:2.*did you mean peak_fp32' "$C" --hardware "$T/hw.conf"
printf 'mine = conv2d batch_norm\n' >"$T/patterns.txt"
refuses "pattern file with a mistake: line and column" 3 'patterns.txt:1:15: .*batch_norm2d' "$C" --patterns "$T/patterns.txt"
prints "tiles by our rule" '^ *l2 +262,144 .* 950 +1\.058' "$C"
prints "tiles by the seed's" '^ *wavefront .* 17 +1\.800' "$C" --hardware kpu --tiles seed
refuses "... at another precision" 2 'fp32 alone' "$C" --tiles seed --precision int8
printf 'name = x\npeak_fp32 = 1e11\nbandwidth = 1e10\nthreads = 1000\n' >"$T/hw.conf"
refuses "--validate with another machine's file" 3 'measured with 1000 threads' "$C" --hardware "$T/hw.conf" --validate
works "characterize --dot and --report" "$C" --dot "$T/net.dot" --report "$T/characterized"
if grep -q 'conv1 -> bn1' "$T/net.dot" && grep -q '3628.15' "$T/characterized/report.md" &&
    grep -q '</html>' "$T/characterized/report.html" && grep -q '"title": "Conclusion"' "$T/characterized/report.json"
then pass "and what they write"; else fail "and what they write"; fi
finish
