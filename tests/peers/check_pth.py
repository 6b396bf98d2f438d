#!/usr/bin/env python3
"""Compares ./convert with PyTorch and NumPy, file by file and bit by bit.

    check_pth.py [--convert ./convert] [FILE ...]

Each FILE (real checkpoints) and a set of files made here by torch.save - zip and stream form, every
element type, shared storages, strided views, parameters, optimiser state - is listed by ./convert and
loaded by torch; names, shapes, types and the CRC-32 of the values must agree.  Then ./convert writes
each one as .pth, .safetensors and .npz, which torch and NumPy must read back with the same bits.  A bare
data.pkl has names and shapes only.  Exit status 0: all agree; 1: something does not; 77: no PyTorch.
"""
import argparse
import collections
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib

try:
    import numpy
    import torch
except ImportError:
    print("check_pth: skipped, PyTorch or NumPy is missing")
    sys.exit(77)

WRAPPERS = ("model_state_dict", "state_dict", "model_state", "model", "net")
failed = 0
checked = 0


def verdict(ok, what, detail=""):
    global failed, checked
    checked += 1
    if not ok:
        failed += 1
        print(f"FAIL {what}{': ' + str(detail) if detail else ''}")
    return ok


def tensor_bytes(t):
    t = t.detach().contiguous()
    if t.dtype == torch.bfloat16:
        t = t.view(torch.int16)
    return t.numpy().tobytes()


def described(t):
    return list(t.shape), str(t.dtype).replace("torch.", ""), f"{zlib.crc32(tensor_bytes(t)):08x}"


def state_dict(root):
    for name in WRAPPERS:
        inner = root.get(name) if isinstance(root, dict) else None
        if isinstance(inner, dict) and any(torch.is_tensor(v) for v in inner.values()):
            root = inner
            break
    tensors = {k: v for k, v in root.items() if torch.is_tensor(v)}
    if all(k.startswith("module.") for k in tensors):
        tensors = {k[7:]: v for k, v in tensors.items()}
    return tensors


class Stub(pickle.Unpickler):
    """Builds shapes only; knows the same few names as the reader under test."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if name.startswith("_rebuild_tensor"):
            return lambda storage, offset, size, *rest: (list(size), storage)
        if name == "_rebuild_parameter":
            return lambda data, *rest: data
        if name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(name)

    def persistent_load(self, pid):
        return {"FloatStorage": "float32", "LongStorage": "int64"}[pid[1]]


def listing(convert, path):
    run = subprocess.run([convert, "--list", path, "--json"], capture_output=True, text=True)
    if not verdict(run.returncode == 0, path, run.stderr.strip()):
        return None
    return json.loads(run.stdout)


def compare(what, ours, theirs):
    """ours: the listing; theirs: name -> tensor, in order."""
    names = [t["name"] for t in ours["tensors"]]
    if not verdict(names == list(theirs), what, "names or their order differ"):
        return
    for t in ours["tensors"]:
        want = described(theirs[t["name"]])
        verdict((t["shape"], t["dtype"], t["crc32"]) == want, f"{what} {t['name']}", f"{t} instead of {want}")


def same_bits(what, got, want):
    if not verdict(set(got) == set(want), what, "names differ"):
        return
    for name, t in want.items():
        verdict(described(got[name]) == described(t), f"{what} {name}")


def read_safetensors(path):
    types = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "BF16": "<i2", "I64": "<i8", "I32": "<i4", "I16": "<i2",
             "I8": "i1", "U8": "u1", "BOOL": "?"}
    data = open(path, "rb").read()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    assert list(header) == sorted(header, key=lambda k: k.encode())
    out = {}
    for name, e in header.items():
        a, b = e["data_offsets"]
        t = torch.from_numpy(numpy.frombuffer(data[8 + n + a:8 + n + b], types[e["dtype"]]).copy())
        out[name] = (t.view(torch.bfloat16) if e["dtype"] == "BF16" else t).reshape(e["shape"])
    try:
        import safetensors.torch
        theirs = safetensors.torch.load_file(path)
        same_bits(path + " read by safetensors", theirs, out)
    except ImportError:
        pass
    return out


def convert_and_compare(convert, path, folder, want):
    for ending in (".pth", ".safetensors", ".npz"):
        out = os.path.join(folder, "converted" + ending)
        if ending == ".npz" and any(t.dtype == torch.bfloat16 for t in want.values()):
            run = subprocess.run([convert, path, out], capture_output=True, text=True)
            verdict(run.returncode == 3, f"{path} -> .npz: bfloat16 is refused", run.stderr)
            continue
        run = subprocess.run([convert, path, out], capture_output=True, text=True)
        if not verdict(run.returncode == 0, f"{path} -> {ending}", run.stderr.strip()):
            continue
        if ending == ".pth":
            got = state_dict(torch.load(out, weights_only=True))
        elif ending == ".safetensors":
            got = read_safetensors(out)
        else:
            with numpy.load(out) as z:
                got = {k: torch.from_numpy(z[k]) for k in z.files}
        same_bits(f"{path} -> {ending}", got, want)
        ours = listing(convert, out)
        if ours:
            crcs = {t["name"]: t["crc32"] for t in ours["tensors"]}
            verdict(crcs == {k: described(v)[2] for k, v in want.items()}, f"{out} read back by convert")


def equal(a, b):
    if torch.is_tensor(a):
        return torch.is_tensor(b) and described(a) == described(b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def whole(convert, path, folder):
    """A .pth written from a .pth keeps the whole object."""
    out = os.path.join(folder, "whole.pth")
    run = subprocess.run([convert, path, out], capture_output=True, text=True)
    if verdict(run.returncode == 0, f"{path} -> whole .pth", run.stderr.strip()):
        verdict(equal(torch.load(path, weights_only=True, map_location="cpu"), torch.load(out, weights_only=True)), f"{path}: the whole object")


def samples():
    """name -> object to torch.save."""
    torch.manual_seed(1)
    base = torch.randn(6, 7, 8)
    types = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
             torch.int8, torch.uint8, torch.bool]
    yield "types", {f"t{i}": (torch.randn(3, 5) * 50).to(t) for i, t in enumerate(types)}
    yield "numpy_types", {f"t{i}": (torch.randn(3, 5) * 50).to(t) for i, t in enumerate(types) if t != torch.bfloat16}
    yield "views", {"whole": base, "transposed": base.transpose(0, 2), "slice": base[1:4, ::2, 3], "row": base[2],
                    "permuted": base.permute(2, 0, 1)[::3], "again": base, "last": base[5, 6, 7],
                    "channels_last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)}
    yield "sizes", {"scalar": torch.tensor(3.5), "empty": torch.zeros(0), "empty2": torch.zeros(3, 0, 2),
                    "one": torch.ones(1, 1, 1), "count": torch.tensor(12345678901234), "deep": torch.randn(1, 2, 1, 2, 1, 2, 1, 3)}
    yield "special", {"s": torch.tensor([0.0, -0.0, 1e-45, -1e-40, float("inf"), float("-inf"), 3e38])}
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    yield "state", model.state_dict()
    yield "parameters", collections.OrderedDict(model.named_parameters())
    yield "module", {"state_dict": {"module." + k: v for k, v in model.state_dict().items()}, "epoch": 7}
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sgd.step()
    adam = torch.optim.AdamW(model.parameters(), lr=1e-3)
    adam.step()
    plan = torch.optim.lr_scheduler.MultiStepLR(sgd, [3, 5])
    yield "checkpoint", {"epoch": 3, "model_state_dict": model.state_dict(), "optimizer_state_dict": sgd.state_dict(),
                         "adam": adam.state_dict(), "scheduler_state_dict": {k: v for k, v in plan.state_dict().items() if k != "milestones"},
                         "best_acc": 91.25, "big": 1 << 40, "negative": -5, "deep": [(1, 2.5, None, "text \u00e9\u4e16"), {"a": []}],
                         "loss": [0.1 * i for i in range(3000)], "flags": (True, False), "nothing": None, "empty": {}}


def tar_file(path):
    """A file as PyTorch 0.1 wrote it; returns what it holds.  (torch.save has long lost this form.)"""
    a, b = torch.randn(4, 3), torch.arange(10)

    class Persistent(pickle.Pickler):
        def persistent_id(self, obj):
            return {id(a): "101", id(b): "102"}.get(id(obj))

    def dump(*objects):
        return b"".join(pickle.dumps(o, protocol=2) for o in objects)

    def type_of(name):  # GLOBAL torch <name>
        return b"ctorch\n" + name + b"\n"

    def triple(x, y, z):  # (key, location or storage, class)
        return b"\x80\x02" + pickle.dumps(x, 2)[2:-1] + pickle.dumps(y, 2)[2:-1] + type_of(z) + b"\x87."

    storages = dump(2) + triple(11, "cpu", b"FloatStorage") + struct.pack("<q", 12) + tensor_bytes(a)
    storages += triple(12, "cpu", b"LongStorage") + struct.pack("<q", 10) + tensor_bytes(b) + dump([(13, 12, 2, 6)])
    tensors = dump(3) + triple(101, 11, b"FloatTensor") + struct.pack("<i4x2q2qq", 2, 4, 3, 3, 1, 0)
    tensors += triple(102, 12, b"LongTensor") + struct.pack("<i4xqqq", 1, 10, 1, 0)
    tensors += triple(103, 13, b"LongTensor") + struct.pack("<i4xqqq", 1, 3, 2, 1)
    out = io.BytesIO()
    Persistent(out, protocol=2).dump(collections.OrderedDict([("a", a), ("b", b)]))
    body = out.getvalue()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in (("sys_info", dump({})), ("pickle", body), ("tensors", tensors), ("storages", storages)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mtime = 1496000000.25
            tar.addfile(info, io.BytesIO(data))
    return {"a": a, "b": b}


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--convert", default="./convert")
    options.add_argument("files", nargs="*")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for path in given.files:
            ours = listing(given.convert, path)
            if ours is None:
                continue
            if path.endswith(".pkl"):
                theirs = Stub(open(path, "rb")).load()
                got = [(t["name"], t["shape"], t["dtype"]) for t in ours["tensors"]]
                verdict(got == [(k, *v) for k, v in theirs.items()], path, "names, shapes or types differ")
            else:
                theirs = state_dict(torch.load(path, weights_only=True, map_location="cpu"))
                compare(path, ours, theirs)
                convert_and_compare(given.convert, path, folder, theirs)
                whole(given.convert, path, folder)
        for name, root in samples():
            for form in (True, False):
                path = os.path.join(folder, f"{name}.{'zip' if form else 'stream'}.pth")
                torch.save(root, path, _use_new_zipfile_serialization=form)
                theirs = state_dict(torch.load(path, weights_only=True))
                ours = listing(given.convert, path)
                if ours:
                    compare(path, ours, theirs)
                    convert_and_compare(given.convert, path, folder, theirs)
                    whole(given.convert, path, folder)
        path = os.path.join(folder, "tar.pth")
        theirs = tar_file(path)
        same_bits("torch reads the tar form", torch.load(path, weights_only=False), theirs)
        ours = listing(given.convert, path)
        if ours:
            compare(path, ours, theirs)
        path = os.path.join(folder, "a.npz")
        arrays = {"c": numpy.arange(24.0).reshape(2, 3, 4), "f": numpy.asfortranarray(numpy.arange(24, dtype="<i4").reshape(2, 3, 4)),
                  "big": numpy.arange(5, dtype=">f4"), "scalar": numpy.float32(2.5), "zeros": numpy.zeros(1000)}
        for save in (numpy.savez, numpy.savez_compressed):
            save(path, **arrays)
            ours = listing(given.convert, path)
            if ours:
                want = {k: torch.from_numpy(numpy.array(v, dtype=numpy.asarray(v).dtype.newbyteorder("="), order="C")) for k, v in arrays.items()}
                got = {t["name"]: (t["shape"], t["dtype"], t["crc32"]) for t in ours["tensors"]}
                verdict(got == {k: described(v) for k, v in want.items()}, save.__name__)
    print(f"check_pth: {checked} checks, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
