#!/usr/bin/env python3
"""Compares how pictures are read here with Pillow, pixel by pixel.

    check_images.py [--decode build/release/tests/peers/decode] [FILE ...]

Writes PNG and JPEG files of every kind that Pillow can write (and PNGs of depths and interlacing that it cannot),
reads them with tests/peers/decode.c and with Pillow, upright and as RGB, and compares; and so with each FILE.
PNG must be equal.  JPEG must be equal, too, or with --jpeg-tolerance N within N levels, for another version of
libjpeg-turbo.  16-bit grey is the one difference on purpose: Pillow cuts it off at 255, here the high byte stays, as
both do with 16-bit colours.  Exit status 0: all agree; 1: something does not; 77: no Pillow.
"""
import argparse
import os
import struct
import subprocess
import sys
import tempfile
import zlib

try:
    import numpy
    from PIL import Image, ImageFile, ImageOps, features
except ImportError:
    print("check_images: skipped, Pillow or NumPy is missing")
    sys.exit(77)

Image.MAX_IMAGE_PIXELS = None
ImageFile.MAXBLOCK = 1 << 20  # a progressive file has to fit
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def photo(width, height, channels, seed=1):
    """Smooth shapes, edges and some noise."""
    rng = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[0:height, 0:width]
    planes = []
    for c in range(channels):
        a, b, p = rng.uniform(0.02, 0.3, 2).tolist() + [rng.uniform(0, 6)]
        plane = 128 + 90 * numpy.sin(a * x + p) * numpy.cos(b * y) + 30 * ((x // 7 + y // 5 + c) % 2)
        planes.append(plane + rng.normal(0, 6, (height, width)))
    return numpy.clip(numpy.stack(planes, -1), 0, 255).astype(numpy.uint8)


def png(samples, depth, colour, interlace, palette=None, extra=b""):
    """The file of samples [height][width][channels] of `depth` bits."""
    height, width, channels = samples.shape

    def rows(part):
        out = b""
        for row in part:
            bits = "".join(format(int(v), f"0{depth}b") for v in row.reshape(-1))
            bits += "0" * (-len(bits) % 8)
            out += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
        return out

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    if interlace:
        parts = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        raw = b"".join(rows(p) for p in parts if p.size)
    else:
        raw = rows(samples)
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    if palette is not None:
        out += chunk(b"PLTE", bytes(palette))
    packed = zlib.compress(raw)
    half = len(packed) // 2
    return out + extra + chunk(b"IDAT", packed[:half]) + chunk(b"IDAT", packed[half:]) + chunk(b"IEND", b"")


def orientation(value, order):
    """EXIF that says this, in one of the byte orders."""
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 2)
    tiff += struct.pack(order + "HHIHH", 0x0100, 3, 1, 640, 0) + struct.pack(order + "HHIHH", 0x0112, 3, 1, value, 0)
    return b"Exif\0\0" + tiff + b"\0\0\0\0"


def write_pngs(put):
    rgb, rgba = Image.fromarray(photo(61, 43, 3)), Image.fromarray(photo(61, 43, 4))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        put(f"pillow-{mode}.png", (rgba if mode == "RGBA" else rgb).convert(mode))
    put("pillow-LA2.png", rgba.convert("LA"))
    put("pillow-I16.png", Image.fromarray(photo(61, 43, 1)[:, :, 0].astype(numpy.uint16) * 257 + 3))
    put("pillow-transparent-index.png", rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=13), transparency=4)
    put("pillow-transparent-colour.png", rgb, transparency=(1, 2, 3))
    for bits in (1, 2, 4):
        put(f"pillow-P{bits}.png", rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=1 << bits), bits=bits)
    for value in range(1, 9):
        put(f"pillow-turned{value}.png", rgb, exif=orientation(value, "<>"[value % 2]))
    rng = numpy.random.default_rng(3)
    for colour, channels, depths in ((0, 1, (1, 2, 4, 8, 16)), (2, 3, (8, 16)), (3, 1, (1, 2, 4, 8)), (4, 2, (8, 16)), (6, 4, (8, 16))):
        for depth in depths:
            for interlace in (0, 1):
                for width, height in ((1, 1), (5, 3), (33, 18)):
                    samples = rng.integers(0, 1 << depth, (height, width, channels))
                    palette = rng.integers(0, 256, 3 << depth).tolist() if colour == 3 else None
                    put(f"made-{colour}-{depth}-{interlace}-{width}x{height}.png",
                        png(samples, depth, colour, interlace, palette), grey16=samples if (colour, depth) == (0, 16) else None)


def write_jpegs(put):
    rgb = Image.fromarray(photo(203, 155, 3))
    for quality in (30, 75, 95, 100):
        for sampling in (0, 1, 2):
            for progressive in (False, True):
                put(f"q{quality}-s{sampling}-{'p' if progressive else 'b'}.jpg", rgb, quality=quality,
                    subsampling=sampling, progressive=progressive)
    for width, height in ((1, 1), (1, 40), (40, 1), (8, 8), (15, 17), (16, 16), (17, 31), (250, 3)):
        for sampling in (0, 1, 2):
            put(f"{width}x{height}-s{sampling}.jpg", Image.fromarray(photo(width, height, 3)), subsampling=sampling)
    put("grey.jpg", rgb.convert("L"))
    put("grey-p.jpg", rgb.convert("L"), progressive=True)
    put("keep-rgb.jpg", rgb, keep_rgb=True)
    put("restarts.jpg", rgb, restart_marker_rows=1)
    put("restarts3.jpg", rgb, restart_marker_blocks=3, progressive=True)
    put("optimised.jpg", rgb, optimize=True)
    put("cmyk.jpg", Image.fromarray(photo(203, 155, 4), "CMYK"))
    put("cmyk-p.jpg", Image.fromarray(photo(203, 155, 4), "CMYK"), progressive=True, quality=90)
    for value in range(1, 9):
        for order in "<>":
            put(f"turned{value}{'i' if order == '<' else 'm'}.jpg", rgb, exif=orientation(value, order))
    put("turned0.jpg", rgb, exif=orientation(0, "<"))
    put("turned9.jpg", rgb, exif=orientation(9, ">"))


def samples(folder):
    """path -> 16-bit samples or None."""
    out = {}

    def put(name, what, grey16=None, **how):
        path = os.path.join(folder, name)
        if isinstance(what, bytes):
            with open(path, "wb") as f:
                f.write(what)
        else:
            what.save(path, **how)
            grey16 = numpy.asarray(what)[:, :, None] if what.mode == "I;16" else grey16
        out[path] = grey16

    write_pngs(put)
    write_jpegs(put)
    return out


def decoded(program, paths):
    """path -> [height][width][3], or why not."""
    out = {}
    for first in range(0, len(paths), 64):
        some = paths[first:first + 64]
        data = subprocess.run([program, *some], capture_output=True, check=True).stdout
        at = 0
        for path in some:
            end = data.index(b"\n", at)
            line = data[at:end].decode()
            at = end + 1
            if line.startswith("refused"):
                out[path] = line
                continue
            width, height = map(int, line.split())
            planes = numpy.frombuffer(data, numpy.uint8, 3 * width * height, at).reshape(3, height, width)
            out[path] = planes.transpose(1, 2, 0)
            at += planes.size
        assert at == len(data)
    return out


def by_pillow(path, grey16):
    if grey16 is not None:
        return numpy.repeat(grey16 >> 8, 3, -1).astype(numpy.uint8)
    with Image.open(path) as image:
        return numpy.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--decode", default="build/release/tests/peers/decode")
    options.add_argument("--jpeg-tolerance", type=int, default=0)
    options.add_argument("files", nargs="*")
    given = options.parse_args()
    libraries = subprocess.run([given.decode], capture_output=True, text=True, check=True).stdout.strip()
    if "libjpeg" not in libraries or "libpng" not in libraries:
        print(f"check_images: skipped, this build reads with {libraries}")
        return 77
    failed, most = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        want = {**samples(folder), **{path: None for path in given.files}}
        got = decoded(given.decode, list(want))
        for path, grey16 in want.items():
            ours, theirs = got[path], by_pillow(path, grey16)
            name = os.path.basename(path)
            if isinstance(ours, str) or ours.shape != theirs.shape:
                failed += 1
                print(f"FAIL {name}: {ours if isinstance(ours, str) else ours.shape} instead of {theirs.shape}")
                continue
            off = int(numpy.abs(ours.astype(int) - theirs.astype(int)).max())
            most = max(most, off)
            if off > (0 if path.endswith(".png") else given.jpeg_tolerance):
                failed += 1
                print(f"FAIL {name}: off by up to {off}")
    print(f"check_images: {len(want)} files, {failed} failed, off by at most {most}; {libraries} against Pillow "
          f"{Image.__version__} with libjpeg-turbo {features.version('libjpeg_turbo')}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
