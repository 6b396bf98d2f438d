#!/usr/bin/env python3
"""Compares src/data's resampling, colour and geometry with Pillow, byte by byte.

    check_pixels.py [--cases N] [--seed N] [--cc cc]

Builds those sources into a shared library in a temporary folder and calls them on random pictures with
random parameters: Image.resize(BILINEAR, box), ImageEnhance.Brightness, Contrast and Color, torchvision's
adjust_hue (HSV and back; all 2^24 colours once), Image.transform(AFFINE) with both filters, and torchvision's
inverse affine matrix in Python's own arithmetic, to which ours need only be near (so are pixels of Image.rotate,
1 in 10,000 of which may differ by 1).  Then whole lists: RandomResizedCrop, flips, ColorJitter, RandomRotation
and RandomAffine as torchvision does them on Pillow images, with the numbers that we drew.
Exit status 0: all agree; 1: something does not; 77: no Pillow or NumPy.
"""
import argparse
import ctypes
import glob
import math
import os
import random
import subprocess
import sys
import tempfile

try:
    import numpy
    import PIL
    from PIL import Image, ImageEnhance
except ImportError:
    print("check_pixels: skipped, Pillow or NumPy is missing")
    sys.exit(77)

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MATRIX_LIMIT = 2e-15  # a, b, d, e, for scales of 1/2 and above; c and f: times the size
failed = 0
checked = 0


class Box(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("left", "top", "right", "bottom")]


class Affine(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in "abcdef"]


class Region(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("left", "top", "width", "height")]


class Key(ctypes.Structure):
    _fields_ = [("seed", ctypes.c_uint64), ("epoch", ctypes.c_uint32), ("index", ctypes.c_uint32)]


class Jitter(ctypes.Structure):
    _fields_ = [("order", ctypes.c_int * 4), ("amount", ctypes.c_double * 4)]


class Motion(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("degrees", "dx", "dy", "scale", "shear")]


def build(cc, folder):
    path = os.path.join(folder, "pixels.so")
    names = ("resize.c", "colour.c", "affine.c", "augment.c", "augment_draw.c", "augment_list.c", "dataset.c")
    sources = sorted(glob.glob(ROOT + "/src/data/*.c") + glob.glob(ROOT + "/src/base/*.c"))
    subprocess.run([cc, "-O2", "-std=c11", "-ffp-contract=off", "-fopenmp", "-fPIC", "-shared", "-I", ROOT + "/src",
                    "-I", ROOT + "/include", "-I", ROOT, "-o", path, *sources, "-lm", "-lz"], check=True)
    library = ctypes.CDLL(path)
    library.rn_augment_scratch.restype = ctypes.c_size_t
    library.rn_draw_region.restype = Region
    library.rn_draw_jitter.restype = Jitter
    library.rn_draw_motion.restype = Motion
    library.rn_draw_rotation.restype = ctypes.c_double
    library.rn_draw_mirror.restype = library.rn_draw_vflip.restype = ctypes.c_bool
    library.rn_augment_apply.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_int,
                                         ctypes.c_int, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32,
                                         ctypes.c_uint32, ctypes.c_void_p]
    library.rn_resize_scratch.restype = ctypes.c_size_t
    library.rn_affine_inverse.restype = Affine
    library.rn_affine_inverse.argtypes = [ctypes.c_double] * 6 + [ctypes.c_int] * 2
    for name in ("brightness", "contrast", "saturation", "hue"):
        getattr(library, "rn_adjust_" + name).argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_double]
    return library


def address(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def planes(picture):
    return numpy.ascontiguousarray(numpy.asarray(picture).transpose(2, 0, 1))


def check(what, ours, theirs):
    global failed, checked
    checked += 1
    if ours.shape == theirs.shape and (ours == theirs).all():
        return
    failed += 1
    if failed <= 20:
        print(f"DIFFERS {what}: {(ours != theirs).sum()} of {theirs.size} bytes, "
              f"by up to {numpy.abs(ours.astype(int) - theirs.astype(int)).max()}")


def check_near(what, ours, theirs):
    global failed, checked
    checked += 1
    far = numpy.abs(ours.astype(int) - theirs.astype(int))
    if far.max() <= 1 and far.sum() <= 1 + far.size // 10000:
        return
    failed += 1
    print(f"DIFFERS {what}: {(far > 0).sum()} of {far.size} bytes, by up to {far.max()}")


def picture(noise, dice, width, height):
    """Noise, hard black and white, or a few flat tones: every kind finds another mistake."""
    pixels = noise.integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    kind = dice.randrange(3)
    if kind == 1:
        pixels = numpy.where(pixels > 127, 255, 0).astype(numpy.uint8)
    if kind == 2:
        pixels = pixels // 64 * 60 + 20
    return Image.fromarray(pixels)


def check_resize(library, noise, dice):
    width, height = dice.randint(1, 400), dice.randint(1, 400)
    out_w = width if dice.random() < 0.15 else dice.randint(1, 260)
    out_h = height if dice.random() < 0.15 else dice.randint(1, 260)
    left, top = dice.random() * width * 0.9, dice.random() * height * 0.9
    box = (left, top, left + (width - left) * (1 - dice.random()), top + (height - top) * (1 - dice.random()))
    kind = dice.randrange(3)
    if kind == 0:
        box = (0, 0, width, height)
    if kind == 1:
        box = tuple(math.floor(v) for v in box[:2]) + tuple(math.ceil(v) for v in box[2:])
    source = picture(noise, dice, width, height)
    pixels, ours = planes(source), numpy.zeros((3, out_h, out_w), numpy.uint8)
    size = library.rn_resize_scratch(width, height, out_w, out_h)
    scratch = numpy.full(size + 64, 0xAA, numpy.uint8)
    library.rn_resize(address(ours), out_w, out_h, address(pixels), width, height, ctypes.byref(Box(*box)),
                      address(scratch))
    theirs = planes(source.resize((out_w, out_h), Image.BILINEAR, box=box))
    check(f"resize {width}x{height} {box} to {out_w}x{out_h}", ours, theirs)
    check("resize: beyond the scratch", scratch[size:], numpy.full(64, 0xAA, numpy.uint8))


def turned(source, shift):
    """torchvision's adjust_hue on a Pillow image."""
    hue, saturation, value = source.convert("HSV").split()
    hue = Image.fromarray(numpy.asarray(hue) + numpy.array(int(shift * 255) % 256, numpy.uint8))
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


def check_colour(library, noise, dice):
    source = picture(noise, dice, dice.randint(1, 60), dice.randint(1, 60))
    factor = dice.choice([0.0, 1.0, dice.random(), 1 + dice.random() * 3])
    shift = dice.choice([0.0, 0.5, -0.5, dice.random() - 0.5])
    for name, theirs in (("brightness", ImageEnhance.Brightness(source).enhance(factor)),
                         ("contrast", ImageEnhance.Contrast(source).enhance(factor)),
                         ("saturation", ImageEnhance.Color(source).enhance(factor)),
                         ("hue", turned(source, shift))):
        ours = planes(source).copy()
        amount = shift if name == "hue" else factor
        getattr(library, "rn_adjust_" + name)(address(ours), source.width * source.height, amount)
        check(f"{name} {amount}", ours, planes(theirs))


def check_every_colour(library):
    every = numpy.arange(1 << 24, dtype=numpy.uint32)
    rgb = numpy.stack([every >> 16, every >> 8 & 255, every & 255], -1).astype(numpy.uint8).reshape(4096, 4096, 3)
    source = Image.fromarray(rgb)
    ours = planes(source).copy()
    library.rn_adjust_hue(address(ours), 1 << 24, 0.3)
    check("hue of every colour", ours, planes(turned(source, 0.3)))


def torch_matrix(degrees, dx, dy, scale, shear_x, shear_y, width, height):
    """torchvision's inverse matrix about the centre, from its documented definition."""
    rot, sx, sy = (math.radians(v) for v in (degrees, shear_x, shear_y))
    cx, cy = width * 0.5, height * 0.5
    a = math.cos(rot - sy) / math.cos(sy)
    b = -math.cos(rot - sy) * math.tan(sx) / math.cos(sy) - math.sin(rot)
    c = math.sin(rot - sy) / math.cos(sy)
    d = -math.sin(rot - sy) * math.tan(sx) / math.cos(sy) + math.cos(rot)
    m = [d / scale, -b / scale, 0.0, -c / scale, a / scale, 0.0]
    m[2] = m[0] * (-cx - dx) + m[1] * (-cy - dy) + cx
    m[5] = m[3] * (-cx - dx) + m[4] * (-cy - dy) + cy
    return m


def check_affine(library, noise, dice):
    """Returns how far our matrix is from Python's, in units of the limit."""
    width, height = dice.randint(1, 120), dice.randint(1, 120)
    source = picture(noise, dice, width, height)
    values = (dice.uniform(-180, 180), dice.randint(-20, 20), dice.randint(-20, 20), dice.uniform(0.5, 2),
              dice.choice([0, dice.uniform(-45, 45)]), dice.choice([0, dice.uniform(-45, 45)]))
    if dice.random() < 0.2:
        values = (dice.choice([0, 90, -90, 180, 45] + [dice.uniform(-180, 180)] * 5), 0, 0, dice.choice([1, 2, 0.5]), 0, 0)
    if dice.random() < 0.1:
        values = (*values[:3], 1e-4, *values[4:])  # points beyond what 16.16 numbers hold
    ours = library.rn_affine_inverse(*values, width, height)
    matrix = [getattr(ours, name) for name in "abcdef"]
    python = torch_matrix(*values, width, height)
    fill = tuple(dice.randrange(256) for _ in range(3))
    got = numpy.zeros((3, height, width), numpy.uint8)
    for number, filter_ in ((0, Image.NEAREST), (1, Image.BILINEAR)):
        library.rn_affine_image(address(got), address(planes(source)), width, height, ctypes.byref(ours), number,
                                bytes(fill))
        theirs = source.transform((width, height), Image.AFFINE, matrix, filter_, fillcolor=fill)
        check(f"affine {values} {width}x{height} filter {number}", got, planes(theirs))
        if values[1:] == (0, 0, 1, 0, 0) and values[0] % 45:
            check_near(f"rotate {values[0]} filter {number}", got,
                       planes(source.rotate(-values[0], filter_, fillcolor=fill)))
    if values[3] < 0.5:
        return 0.0
    span = [1, 1, max(width, height), 1, 1, max(width, height)]
    return max(abs(a - b) / s for a, b, s in zip(matrix, python, span)) / MATRIX_LIMIT


def torch_list(source, side, library, parsed, key):
    """The list of check_list as torchvision carries it out, with our numbers; without affine's matrices, ours."""
    def draw(name, *more):
        return getattr(library, "rn_draw_" + name)(parsed, ctypes.byref(key), *more)
    part = draw("region", source.width, source.height)
    made = source.crop((part.left, part.top, part.left + part.width, part.top + part.height))
    made = made.resize((side, side), Image.BILINEAR)
    if library.rn_draw_vflip(ctypes.byref(key)):
        made = made.transpose(Image.FLIP_TOP_BOTTOM)
    jitter = draw("jitter")
    for number in jitter.order:
        amount = jitter.amount[number]
        made = (turned(made, amount) if number == 3 else
                (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[number](made).enhance(amount))
    motion, turn = draw("motion", side, side), draw("rotation")
    for values, filter_ in (((-turn, 0, 0, 1, 0, 0), Image.NEAREST),
                            ((motion.degrees, motion.dx, motion.dy, motion.scale, motion.shear, 0), Image.BILINEAR)):
        matrix = library.rn_affine_inverse(*values, side, side)
        made = made.transform((side, side), Image.AFFINE, [getattr(matrix, name) for name in "abcdef"], filter_,
                              fillcolor=(0, 0, 0))
    return made.transpose(Image.FLIP_LEFT_RIGHT) if draw("mirror") else made


def check_list(library, noise, dice):
    parsed = ctypes.create_string_buffer(4096)
    text = b"rrc,vflip,jitter:0.4:0.4:0.4:0.1,rotate:20,affine:10:0.1:0.1:0.8:1.2:5:bilinear,flip"
    if library.rn_augment_parse(parsed, text):
        raise RuntimeError("the list was refused")
    width, height, side = dice.randint(1, 300), dice.randint(1, 300), dice.randint(8, 96)
    source = picture(noise, dice, width, height)
    key = Key(dice.getrandbits(64), dice.randrange(9), dice.randrange(999))
    pixels, ours = planes(source), numpy.zeros((3, side, side), numpy.uint8)
    scratch = numpy.zeros(library.rn_augment_scratch(parsed, side, side, width, height) + 64, numpy.uint8)
    aligned = scratch[-scratch.ctypes.data % 64:]
    library.rn_augment_apply(address(ours), side, side, address(pixels), width, height, parsed, key.seed, key.epoch,
                             key.index, address(aligned))
    check(f"list {width}x{height} to {side}", ours, planes(torch_list(source, side, library, parsed, key)))


def main():
    global failed
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cc", default="cc")
    options = parser.parse_args()
    dice, noise, far = random.Random(options.seed), numpy.random.default_rng(options.seed), 0.0
    with tempfile.TemporaryDirectory() as folder:
        library = build(options.cc, folder)
        for _ in range(options.cases):
            check_resize(library, noise, dice)
            check_colour(library, noise, dice)
            far = max(far, check_affine(library, noise, dice))
            check_list(library, noise, dice)
        check_every_colour(library)
    if far > 1:
        failed += 1
        print(f"DIFFERS matrix: by {far * MATRIX_LIMIT:.1e}, limit {MATRIX_LIMIT:.0e}")
    print(f"check_pixels: {checked} comparisons with Pillow {PIL.__version__}, {failed} differ; matrices within "
          f"{far * MATRIX_LIMIT:.1e} of Python's")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
