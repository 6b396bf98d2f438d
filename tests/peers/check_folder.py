#!/usr/bin/env python3
"""Compares the images of a folder, as the net gets them, with Pillow's.

    check_folder.py [--batches PROGRAM] [--count N] [--seed N]

Writes random JPEG and PNG pictures of many sizes, with and without an orientation, into a folder, and reads it
through tests/peers/batches. Validation must be torchvision's Resize and CenterCrop of
ImageOps.exif_transpose(image).convert("RGB"), byte by byte, in the order and with the labels of
torchvision.datasets.ImageFolder (whose definition is repeated here). So must training without augmentation.
Exit status 0: all agree; 1: something does not; 77: no Pillow or NumPy, or no program.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile

try:
    import numpy
    from PIL import Image, ImageOps
except ImportError:
    print("check_folder: skipped, Pillow or NumPy is missing")
    sys.exit(77)

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ORIENTATION = 0x0112


def write_pictures(folder, count, rng):
    for part in "train", "val":
        for name in "Zebra", "ant", "bee":
            os.makedirs(os.path.join(folder, part, name, "more"))
    for i in range(count):
        width, height = rng.randint(20, 400), rng.randint(20, 400)
        noise = Image.effect_noise((max(2, width // 8), max(2, height // 8)), 80)
        image = Image.merge("RGB", [noise.resize((width, height), Image.BICUBIC).rotate(90 * k).resize((width, height))
                                    for k in range(3)])
        place = rng.choice(["", "more/"]) + f"{i:03d}"
        path = os.path.join(folder, rng.choice(["train", "val"]), rng.choice(["Zebra", "ant", "bee"]), place)
        kind = rng.randrange(4)
        if kind == 0:
            image.save(path + ".png")
        elif kind == 1:
            image.convert("L").save(path + ".png")
        else:
            exif = Image.Exif()
            exif[ORIENTATION] = rng.randint(1, 8)
            image.save(path + ".jpg", quality=90, exif=exif)


def listed(folder):
    """ImageFolder's samples: classes by name, files in the order of names, folders where their names stand."""
    classes = sorted(os.listdir(folder), key=os.fsencode)
    for label, name in enumerate(classes):
        stack = [os.path.join(folder, name)]
        while stack:
            path = stack.pop()
            if os.path.isdir(path):
                inner = sorted(os.listdir(path), key=os.fsencode, reverse=True)
                stack += [os.path.join(path, entry) for entry in inner]
            else:
                yield path, label


def evaluated(path, resize, side):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    width, height = image.size
    if width <= height:
        size = resize, int(resize * height / width)
    else:
        size = int(resize * width / height), resize
    image = image.resize(size, Image.BILINEAR) if size != image.size else image
    left, top = (int(round((length - side) / 2.0)) for length in size)
    return numpy.asarray(image.crop((left, top, left + side, top + side)))


def batches_of(program, flags):
    stream = subprocess.run([program, *flags], check=True, stdout=subprocess.PIPE).stdout
    at = 0
    while at < len(stream):
        n, channels, height, width = numpy.frombuffer(stream, numpy.int32, 4, at)
        if n == 0:
            break
        at += 16
        labels = numpy.frombuffer(stream, numpy.int32, n, at)
        at += 4 * n
        count = n * channels * height * width
        images = numpy.frombuffer(stream, numpy.float32, count, at).reshape(n, channels, height, width)
        at += 4 * count
        yield from zip(images, labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", default=os.path.join(ROOT, "build", "release", "tests", "peers", "batches"))
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    if not os.path.exists(a.batches):
        print(f"check_folder: skipped, {a.batches} is not built")
        return 77
    compared = wrong = 0
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(folder, a.count, random.Random(a.seed))
        for side, resize in (224, 256), (64, 73), (32, 32):
            flags = ["--data", "folder:" + folder, "--image-size", str(side), "--val-resize-size", str(resize),
                     "--augment", "none", "--no-shuffle", "--mean", "0,0,0", "--std", "1,1,1", "--batch-size", "7",
                     "--val-batch-size", "7", "--last", "0"]
            for part in "train", "val":
                files = list(listed(os.path.join(folder, part)))
                ours = list(batches_of(a.batches, flags + ["--split", part]))
                if len(ours) != len(files):
                    print(f"{part}: {len(ours)} images where Pillow reads {len(files)}")
                    return 1
                for (path, label), (image, number) in zip(files, ours):
                    want = evaluated(path, resize, side).transpose(2, 0, 1).astype(numpy.float32) / numpy.float32(255)
                    compared += 1
                    far = numpy.abs(image - want).max() * 255
                    worst = max(worst, far)
                    if label != number or far:
                        wrong += 1
                        print(f"{path}: class {number}, not {label}; off by {far:.2f} levels")
    print(f"check_folder: {compared} images compared with Pillow, the worst off by {worst:.2f} levels")
    return 1 if wrong or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
