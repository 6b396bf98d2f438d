#!/bin/sh
# folder.sh - a data set of pictures in folders: written, trained on, evaluated, damaged, changed.
. tests/cli/runs.sh

if "$BIN/train" --version | grep -q '^pictures .*libpng'; then
    photos="--data folder:$T/photos"
    works "a data set written as PNG files" "$BIN/convert" --images demo:64 --limit 8 --size 40 "$T/photos"
    refuses "... never into a folder that is there" 2 'exists' "$BIN/convert" --images demo:64 "$T/photos"
    refuses "... of classes that it has" 2 "no class 'cat'" "$BIN/convert" --images demo:64 --classes cat "$T/cats"
    echo 'no picture' >"$T/photos/train/smooth-above-striped/broken.png"
    refuses "--strict-data" 3 'broken.png' "$BIN/train" $photos --strict-data --output "$T/x"
    run_small pictures $photos --image-size 32 --hash
    mv "$T/out" "$T/hashes"
    if grep -q '/broken.png: is text' "$T/pictures/log.txt" && grep -q '"skipped_images": 1$' "$T/pictures/summary.json"
    then pass "the log lists what is left out, the summary counts it"
    else fail "the log lists what is left out, the summary counts it" "$(why)"; fi
    run_small pictures-2 $photos --image-size 32 --hash --cache-mb 0 --workers 3 --threads 1
    same "without cache, with other workers and threads: the same" "$T/hashes" "$T/out"
    own=$T/pictures/checkpoints/folder_last.pth
    mkdir "$T/photos/Test"
    refuses "a part under another name" 3 '"Test": images of test are expected in "test"' "$BIN/train" $photos --output "$T/x"
    mv "$T/photos/Test" "$T/photos/drafts"
    prints "a folder beside the parts: it is said" 'not looked at beside train, val and test: drafts$' \
        sh -c '"$1/evaluate" --checkpoint "$2" 2>&1' sh "$BIN" "$own"
    rmdir "$T/photos/drafts"
    prints "evaluated at the size that it was trained for" '^  "count": 16,$' "$BIN/evaluate" --checkpoint "$own" --json
    works "every answer, with its picture" "$BIN/evaluate" --checkpoint "$own" --predictions "$T/answers.csv" --quiet
    if [ "$(grep -cE '^/.*/photos/val/[^,]*\.png,[01],[a-z-]+,[01],[a-z-]+,[0-9.e-]+,[0-9.e-]+$' "$T/answers.csv")" = 16 ]
    then pass "... one line an image"; else fail "... one line an image" "$(tail -n 1 "$T/answers.csv")"; fi
    refuses "... where nothing can be written" 4 'answers.csv' \
        "$BIN/evaluate" --checkpoint "$own" --predictions "$T/none/answers.csv"
    # 32 out of 37 in the training: 64 out of 74, unless a flag says otherwise
    for flag in '' '--val-resize-size 74' '--val-resize-size 96'; do
        run "$BIN/evaluate" --checkpoint "$own" --image-size 64 $flag --logits "$T/l${flag##* }.npy" --quiet
    done
    same "another size crops the training's share" "$T/l.npy" "$T/l74.npy"
    if cmp -s "$T/l.npy" "$T/l96.npy"; then fail "--val-resize-size" "it changes nothing"; else pass "--val-resize-size"; fi
    prints "images of one class alone: it is said" 'limit 3: .* class "smooth-above-striped"; .* number 9$' \
        sh -c '"$1/evaluate" --checkpoint "$2" --limit 3 2>&1' sh "$BIN" "$own"
    prints "a share of a folder that is not divided: it is said" 'val is a share of it, 4 images' \
        sh -c '"$1/evaluate" --checkpoint "$2" --data "folder:$3" 2>&1' sh "$BIN" "$own" "$T/photos/train"
    mkdir -p "$T/only" && cp -R "$T/photos/val" "$T/only/test"
    prints "evaluated on a folder that has nothing but test" '^  "count": 16,$' \
        "$BIN/evaluate" --checkpoint "$own" --data "folder:$T/only" --split test --json
    refuses "... which is not enough for training" 3 'has test but no train' "$BIN/train" --data "folder:$T/only" --output "$T/x"
    refuses "--limit-train that leaves one class" 3 'at least 9 are' "$BIN/train" $photos --limit-train 8 --output "$T/x"
    another=$(ls "$T"/photos/val/striped-above-smooth/*.png | head -n 1)
    prints "a dry run reads headers" 'only the headers were read' \
        sh -c '"$1/train" --data "folder:$2" --dry-run 2>&1' sh "$BIN" "$T/photos"
    prints "a class by a threshold" ' % \(".*" from probability 0 on\)$' \
        "$BIN/evaluate" --checkpoint "$own" --predict "$another" --threshold 0
    refuses "a threshold, and a sensitivity to choose one for" 2 'excludes --threshold' \
        "$BIN/evaluate" --checkpoint "$own" --threshold 0.5 --target-sensitivity 0.9
    cp "$another" "$T/photos/train/striped-above-smooth/zz.png"
    refuses "resumed with another picture" 2 'data-pictures: 16 and 16 .* there, 17 and 16' \
        "$BIN/train" --resume "$own" --max-steps 3
    rm "$T/photos/train/smooth-above-striped/broken.png"
    refuses "--strict-data: the same picture in train and val" 3 '1 picture is in .*zz.png and ' \
        "$BIN/train" $photos --strict-data --output "$T/x"
    echo 'no picture' >"$T/photos/train/smooth-above-striped/broken.png"
    rm "$T/photos/train/striped-above-smooth/zz.png"
    run_small pictures $photos --image-size 32 --resume "$own" --max-steps 3
    if [ $status = 0 ]; then pass "... and without it again"; else fail "... and without it again" "$(why)"; fi
    mv "$T/photos/train/smooth-above-striped" "$T/photos/train/tartan"
    mv "$T/photos/val/smooth-above-striped" "$T/photos/val/tartan"
    both='classes there: smooth-above-striped, striped-above-smooth; here: striped-above-smooth, tartan'
    refuses "evaluation on other classes" 3 "$both" "$BIN/evaluate" --checkpoint "$own"
    refuses "resumed with other classes" 3 "$both" "$BIN/train" --resume "$own" --max-steps 3
    rm -r "$T/photos/train/tartan"
    refuses "a class that train has not" 3 'of train: striped-above-smooth; of val: striped' "$BIN/train" $photos
else
    skip "folders of pictures: no libpng"
fi
finish
