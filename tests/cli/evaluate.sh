#!/bin/sh
# evaluate.sh - evaluations of ten classes and of two, single pictures, damaged and converted checkpoints.
. tests/cli/runs.sh

run_small one
last=$(checkpoint_of one)

# -- evaluations -------------------------------------------------------------------------------------
# sh judge FLAG...: an evaluation of 24 images.
cat >"$T/judge" <<END
exec "$BIN/evaluate" --checkpoint "$last" --data demo --limit 24 --quiet "\$@"
END
timeless() { grep -v -e '"seconds"' -e '"images_per_second"'; }
sh "$T/judge" --json --logits "$T/l1.npy" --batch-size 24 --threads 1 | timeless >"$T/j1"
sh "$T/judge" --json --logits "$T/l2.npy" --batch-size 7 --threads 3 --workers 2 | timeless >"$T/j2"
same "evaluations are equal for any batch size and threads" "$T/j1" "$T/j2"
same "... and their logits" "$T/l1.npy" "$T/l2.npy"
sh "$T/judge" --json --tta flip --batch-size 24 | timeless >"$T/j1"
sh "$T/judge" --json --tta flip --batch-size 5 --threads 2 | timeless >"$T/j2"
same "... and with mirror images" "$T/j1" "$T/j2"
if grep -q '"tta": "flip"' "$T/j1"; then pass "the JSON says so"; else fail "the JSON says so"; fi
for key in per_class macro weighted ece reliability confusion; do
    if grep -q "^  \"$key\": " "$T/j1"; then pass "evaluate --json has $key"; else fail "evaluate --json has $key"; fi
done
prints "a table by class" '^     class +images +answers +correct +precision +recall +F1$' sh "$T/judge"
prints "calibration" '^calibration: expected error ' sh "$T/judge"
prints "size alone" '^parameters +11173962$' "$BIN/evaluate" --checkpoint "$last" --size --quiet
prints "size of a layer" '^layer4.1.conv2 +conv2d +512x2x2 +2359296 +9437184 ' "$BIN/evaluate" --checkpoint "$last" --size
prints "evaluation and size in one object" '"file_bytes": [0-9]' sh "$T/judge" --size --json
refuses "classes of another number: tensor and both shapes" 3 'fc.weight: the file has \[10, 512\], the net \[12, 512\]' \
    sh "$T/judge" --num-classes 12
refuses "... fewer than the data have" 3 'fc.weight is \[5, 512\], demo has 10 classes and needs \[10, 512\]' \
    sh "$T/judge" --num-classes 5
refuses "another stem: tensor and both shapes" 3 'conv1.weight: the file has \[64, 3, 3, 3\], the net \[64, 3, 7, 7\]' \
    sh "$T/judge" --stem imagenet
refuses "another architecture: tensor and both shapes" 3 'the file has \[64, 64, 3, 3\], the net \[64, 64, 1, 1\]' \
    sh "$T/judge" --arch resnet50
refuses "sensitivity of ten classes" 2 'target-sensitivity is for two classes' sh "$T/judge" --target-sensitivity 0.9
refuses "threshold of ten classes" 2 'threshold is for two classes' sh "$T/judge" --threshold 0.5
refuses "sensitivity in percent" 2 'target-sensitivity' sh "$T/judge" --target-sensitivity 98
refuses "positive class of ten" 2 'positive-class is for two classes' sh "$T/judge" --positive-class disc
refuses "ROC curve of ten classes" 2 'roc is for two classes' sh "$T/judge" --roc "$T/roc.csv"
refuses "PR curve of ten classes" 2 'pr is for two classes' sh "$T/judge" --pr "$T/pr.csv"
refuses "two outputs in one file" 2 '--logits and --predictions' sh "$T/judge" --logits "$T/x.npy" --predictions "$T/x.npy"
refuses "unknown augmentation at test time" 2 'flip' sh "$T/judge" --tta flop
refuses "logits where nothing can be written" 4 '/proc' sh "$T/judge" --logits /proc/nope/x.npy
refuses "confusion matrix as .jpg" 2 'png' sh "$T/judge" --confusion "$T/c.jpg"
if "$BIN/evaluate" --version | grep -q '^cairo  *found'; then
    works "confusion matrix as .png" sh "$T/judge" --confusion "$T/c.png"
    works "confusion matrix as .svg" sh "$T/judge" --confusion "$T/c.svg"
    if [ -s "$T/c.png" ] && grep -q '<svg' "$T/c.svg"; then pass "... they are there"; else fail "... they are there"; fi
else
    refuses "a drawing without cairo: what to install" 2 'libcairo2' sh "$T/judge" --confusion "$T/c.png"
fi
run_two two
two=$(checkpoint_of two)
run "$BIN/evaluate" --checkpoint "$two" --data demo:64 --limit 24 --target-sensitivity 1 --json --quiet --roc "$T/roc.csv"
for key in '"sensitivity": 1' '"specificity": ' '"auc": ' '"threshold": ' '"false_negatives": 0'; do
    if grep -q "$key" "$T/out"; then pass "two classes: $key"; else fail "two classes: $key" "$(why)"; fi
done
if sed -n 2p "$T/roc.csv" | grep -q '^1,inf,0,0,0,1$' && tail -n 1 "$T/roc.csv" | grep -q ',12,12,1,0$'; then
    pass "the ROC curve from corner to corner"
else
    fail "the ROC curve from corner to corner" "$(tail -n 1 "$T/roc.csv")"
fi
name=$(sed -n 's/.*"positive_class": "\(.*\)".*/\1/p' "$T/out")
run "$BIN/evaluate" --checkpoint "$two" --data demo:64 --limit 24 --positive-class "${name:-none}" --json --quiet
if grep -q "\"positive_class\": \"$name\"" "$T/out" && grep -q '"threshold": 0.5' "$T/out"; then
    pass "--positive-class by its name"
else
    fail "--positive-class by its name" "$(why)"
fi
refuses "a class that there is not" 2 '0, ".*", and 1, "' \
    "$BIN/evaluate" --checkpoint "$two" --data demo:64 --limit 8 --positive-class nothing --quiet

# sh screen FLAG...: an evaluation of 24 images of two classes.
cat >"$T/screen" <<END
exec "$BIN/evaluate" --checkpoint "$two" --data demo:64 --limit 24 --quiet "\$@"
END
sh "$T/screen" --json --pr "$T/pr.csv" --threads 1 | timeless >"$T/j1"
sh "$T/screen" --json --bootstrap 1000 --threads 3 --batch-size 5 | timeless >"$T/j2"
same "intervals are equal for any threads" "$T/j1" "$T/j2"
for key in precision f1 accuracy balanced_accuracy average_precision; do
    if grep -q "^  \"$key\": " "$T/j1" && grep -q "^    \"$key\": \[" "$T/j1"; then pass "two classes: $key and its interval"
    else fail "two classes: $key and its interval"; fi
done
if tail -n 1 "$T/pr.csv" | grep -q ',12,12,1,0.5$'; then pass "the curve of precision ends at recall 1"
else fail "the curve of precision ends at recall 1" "$(tail -n 1 "$T/pr.csv")"; fi
sh "$T/screen" --json --bootstrap 0 >"$T/j1"
if grep -q '"bootstrap"' "$T/j1"; then fail "--bootstrap 0 makes none"; else pass "--bootstrap 0 makes none"; fi
sh "$T/screen" --json --target-sensitivity 0.9 >"$T/j1"
sh "$T/screen" --json --target-sensitivity 0.9 --split train >"$T/j2"
if grep -q '"threshold_split": "val"' "$T/j2" && grep -q '"same_images": false' "$T/j2"; then pass "val chooses for train"
else fail "val chooses for train"; fi
grep '"threshold_margin"' "$T/j1" >"$T/m1"; grep '"threshold_margin"' "$T/j2" >"$T/m2"
same "... the threshold it chooses for itself" "$T/m1" "$T/m2"
prints "... and says so where it is judged itself" 'chosen on the images it is judged on for sensitivity 90' \
    sh "$T/screen" --target-sensitivity 0.9 --split test
refuses "no positive images to choose by" 3 'none of the 1 images of demo:64, val, is of class' \
    sh "$T/screen" --limit 1 --target-sensitivity 0.9
prints "one class of images: nothing is known of the other" '^  "auc": null,$' sh "$T/screen" --limit 1 --json

# -- single pictures ---------------------------------------------------------------------------------
printf '\211PNG\015\012\032\012\000\000\000\015IHDR\000\000\000\002\000\000\000\002\010\000\000\000\000\127\335\122\370' >"$T/a.png"
printf '\000\000\000\016IDAT\170\234\143\020\370\300\360\101\000\000\006\006\002\001\353\157\072\157' >>"$T/a.png"
printf '\000\000\000\000IEND\256\102\140\202' >>"$T/a.png"
head -c 50 "$T/a.png" >"$T/cut.png"
if "$BIN/evaluate" --version | grep -q '^pictures .*libpng'; then
    prints "class of a picture" "a.png: .*, [0-9.]+ %\$" "$BIN/evaluate" --checkpoint "$two" --predict "$T/a.png" --quiet
    run "$BIN/evaluate" --checkpoint "$last" --predict "$T/a.png" "$T/a.png" --json --quiet --logits "$T/l1.npy"
    if [ "$(grep -c '{"file": ".*", "class": ".*", "class_index": [0-9], "probability": 0.*"top5": \[{' "$T/out")" = 2 ]; then
        pass "classes of two pictures as JSON"
    else
        fail "classes of two pictures as JSON" "$(why)"
    fi
    run "$BIN/evaluate" --checkpoint "$two" --predict "$T/none.png" "$T/a.png" "$T/cut.png" --quiet
    if [ $status = 3 ] && grep -q 'a.png: .* %$' "$T/out" && ! grep -q 'cut.png' "$T/out" &&
        grep -q 'none.png' "$T/err" && grep -q 'cut.png: ' "$T/err" && grep -q '2 of 3 pictures' "$T/err"
    then pass "pictures that cannot be read: the others are answered, exit 3"
    else fail "pictures that cannot be read: the others are answered, exit 3" "exit $status: $(why)"; fi
    refuses "nothing but a damaged picture" 3 'cut.png' "$BIN/evaluate" --checkpoint "$two" --predict "$T/cut.png" --quiet
    refuses "picture smaller than its crop" 2 'short side of 32 is too small' "$BIN/evaluate" --checkpoint "$two" \
        --image-size 64 --val-resize-size 32 --predict "$T/a.png" --quiet
else
    skip "single pictures: no libpng"
fi
refuses "picture that is not there" 3 'nowhere.png' "$BIN/evaluate" --checkpoint "$two" --predict nowhere.png --quiet
refuses "picture that is text" 3 'judge' "$BIN/evaluate" --checkpoint "$two" --predict "$T/judge" --quiet
refuses "picture with a list of answers" 2 'without --predictions' \
    "$BIN/evaluate" --checkpoint "$two" --predict "$T/a.png" --predictions "$T/answers.csv" --quiet
refuses "picture with labels" 2 'without --roc' \
    "$BIN/evaluate" --checkpoint "$two" --predict "$T/a.png" --roc "$T/roc.csv" --quiet
refuses "picture without --predict" 2 'pictures stand behind --predict' "$BIN/evaluate" --checkpoint "$two" "$T/a.png"

# -- damage ------------------------------------------------------------------------------------------
size=$(wc -c <"${last:-/dev/null}")
for bytes in 4 100 1000 $((size / 2)) $((size - 1)); do
    head -c $bytes "${last:-/dev/null}" >"$T/cut.pth"
    refuses "checkpoint cut at $bytes" 3 'cut.pth' "$BIN/evaluate" --checkpoint "$T/cut.pth" --data demo
done
works "convert to safetensors" "$BIN/convert" "$last" "$T/a.safetensors" --weights-only
works "convert to npz" "$BIN/convert" "$T/a.safetensors" "$T/a.npz"
works "and back to .pth" "$BIN/convert" "$T/a.npz" "$T/a.pth"
"$BIN/convert" --list "$T/a.safetensors" >"$T/list1" 2>"$T/err"
"$BIN/convert" --list "$T/a.pth" >"$T/list2" 2>"$T/err"
if [ -s "$T/list1" ] && grep -q 'conv1.weight' "$T/list2"; then pass "convert --list names the tensors"
else fail "convert --list names the tensors" "$(why)"; fi
head -c 500 "$T/a.safetensors" >"$T/cut.safetensors"
refuses "cut safetensors file" 3 'cut.safetensors' "$BIN/convert" --list "$T/cut.safetensors"

finish
