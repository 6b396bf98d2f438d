#!/usr/bin/env python3
"""Files with the layout of torchvision's ResNet-18 weights, as initial weights of a net of two classes.

  build/peers/bin/python tests/peers/imagenet_weights.py [--bin .] [--pickle resnet18-f37072fd.data.pkl]

Three files with random values are written and given to ./train --weights:
  zip     as resnet18-f37072fd.pth: local headers without sizes and checksums (data descriptors follow), content
          aligned to 64 bytes by an extra field, records in the order of their names, parameters and buffers of one
          batch norm as mean, variance, weight, bias, and no num_batches_tracked; with --pickle, that file's own pickle
  tar     as resnet18-5c106cde.pth: PyTorch 0.1's archive of sys_info, pickle, tensors, storages
  stream  as files of 2018 (magic 0x1950a86a20f9469cfc6c), the names under "module."
All tensors but the head's must arrive bit by bit.
"""
import argparse
import collections
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import torch

from resnet import ResNet

ap = argparse.ArgumentParser()
ap.add_argument("--bin", default=".")
ap.add_argument("--pickle", type=Path, default=Path(os.environ.get("RESNET_PTH", ".")) / "resnet18-f37072fd.data.pkl")
a = ap.parse_args()
passed = failed = 0


def check(name, held, detail=""):
    global passed, failed
    passed, failed = passed + bool(held), failed + (not held)
    print(f"{'ok  ' if held else 'FAIL'} {name}{': ' + detail if detail else ''}")


def random_weights():
    """Names in torchvision's order of 2016: of a batch norm first the buffers."""
    torch.manual_seed(3)
    order = ("running_mean", "running_var", "weight", "bias")
    out = collections.OrderedDict()
    state = ResNet("resnet18", "imagenet", 1000).state_dict()
    parameters = dict(ResNet("resnet18", "imagenet", 1000).named_parameters())
    for module in dict.fromkeys(k.rsplit(".", 1)[0] for k in state):
        names = [f"{module}.{k}" for k in order if f"{module}.{k}" in state]
        for name in names:
            t = torch.rand(state[name].shape) + 0.5 if name.endswith("_var") else torch.randn(state[name].shape) * 0.05
            out[name] = torch.nn.Parameter(t) if name in parameters else t
    return out


# -- the zip form --------------------------------------------------------------------------------------
class Storages(pickle.Unpickler):
    """What tensors a pickle has, and in which storage: name -> (key, numel of the storage, offset, shape)."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if name == "_rebuild_parameter":
            return lambda data, *rest: data
        return (lambda storage, offset, size, *rest: (*storage, offset, tuple(size))) if name.startswith("_") else name

    def persistent_load(self, pid):
        return pid[2], pid[4]


def saved_pickle(weights):
    file = io.BytesIO()
    torch.save(weights, file)
    with zipfile.ZipFile(file) as z:
        return z.read(next(n for n in z.namelist() if n.endswith("data.pkl")))


def descriptor_zip(path, records):
    """A stored zip whose local headers say neither size nor checksum."""
    out, central = io.BytesIO(), io.BytesIO()
    for name, data in records:
        n, at = name.encode(), out.tell()
        pad = -(at + 30 + len(n) + 4) % 64
        extra = struct.pack("<2sH", b"FB", pad) + b"Z" * pad
        out.write(struct.pack("<4s5H3I2H", b"PK\3\4", 0, 0x0808, 0, 0, 0, 0, 0, 0, len(n), len(extra)) + n + extra)
        assert out.tell() % 64 == 0
        out.write(data + struct.pack("<4s3I", b"PK\7\10", zlib.crc32(data), len(data), len(data)))
        central.write(struct.pack("<4s6H3I5H2I", b"PK\1\2", 0, 0, 0x0808, 0, 0, 0, zlib.crc32(data), len(data),
                                  len(data), len(n), 0, 0, 0, 0, 0, at) + n)
    start = out.tell()
    out.write(central.getvalue())
    out.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(records), len(records), out.tell() - start, start, 0))
    path.write_bytes(out.getvalue())


def zip_file(path, weights):
    body = a.pickle.read_bytes() if a.pickle.is_file() else saved_pickle(weights)
    tensors = Storages(io.BytesIO(body)).load()
    check("zip: the pickle has the 102 tensors", {k: v[3] for k, v in tensors.items()} ==
          {k: tuple(v.shape) for k, v in weights.items()}, "the file's own" if a.pickle.is_file() else "torch.save's")
    data = {}
    for name, (key, count, offset, shape) in tensors.items():
        assert offset == 0 and count == weights[name].numel()
        data[key] = weights[name].detach().numpy().tobytes()
    records = [("archive/data.pkl", body)] + [(f"archive/data/{k}", data[k]) for k in sorted(data)]
    descriptor_zip(path, records + [("archive/version", b"3\n")])


# -- the tar form --------------------------------------------------------------------------------------
def dump(*objects):
    return b"".join(pickle.dumps(o, protocol=2) for o in objects)


def triple(x, y, name):
    """A pickled (x, y, torch.<name>)."""
    return b"\x80\x02" + dump(x)[2:-1] + dump(y)[2:-1] + b"ctorch\n" + name + b"\n\x87."


def tar_file(path, weights):
    tensors = {k: v.detach() for k, v in weights.items()}
    number = {id(v): 1000 + i for i, v in enumerate(tensors.values())}

    class Persistent(pickle.Pickler):
        def persistent_id(self, obj):
            return str(number[id(obj)]) if id(obj) in number else None

    body, storages, table = io.BytesIO(), dump(len(tensors)), dump(len(tensors))
    Persistent(body, protocol=2).dump(collections.OrderedDict(tensors))
    for t in tensors.values():
        key = number[id(t)]
        storages += triple(key + 5000, "cpu", b"FloatStorage") + struct.pack("<q", t.numel()) + t.numpy().tobytes()
        table += triple(key, key + 5000, b"FloatTensor") + struct.pack("<i4x", t.dim())
        table += struct.pack(f"<{2 * t.dim() + 1}q", *t.shape, *t.stride(), 0)
    storages += dump([])
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        parts = {"sys_info": dump({"protocol_version": 1000}), "pickle": body.getvalue(), "tensors": table,
                 "storages": storages}
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1496000000.25
            tar.addfile(info, io.BytesIO(data))


# -- all of them ---------------------------------------------------------------------------------------
def check_file(name, path, weights):
    theirs = torch.load(path, weights_only=name != "tar", map_location="cpu")
    same = all(torch.equal(v, weights[k.removeprefix("module.")]) for k, v in theirs.items())
    check(f"{name}: PyTorch reads it", same and len(theirs) == len(weights))
    flags = ["--data", "demo:64", "--weights", path, "--max-steps", "0", "--limit-val", "8", "--limit-train", "8",
             "--batch-size", "8", "--output", f"{path}.run", "--quiet"]
    run = subprocess.run([f"{a.bin}/train", *flags], capture_output=True, text=True)
    check(f"{name}: ./train starts from it", run.returncode == 0, run.stderr.strip()[:200])
    if run.returncode:
        return
    got = torch.load(next(Path(f"{path}.run/checkpoints").glob("*_last.pth")), weights_only=True)["model_state_dict"]
    body = [k for k in weights if not k.startswith("fc.")]
    check(f"{name}: {len(body)} tensors bit by bit", all(torch.equal(got[k], weights[k]) for k in body))
    head = tuple(got["fc.weight"].shape), tuple(got["fc.bias"].shape)
    check(f"{name}: a new head of two classes", head == ((2, 512), (2,)))
    check(f"{name}: no batch has been counted", all(v == 0 for k, v in got.items() if k.endswith("num_batches_tracked")))


with tempfile.TemporaryDirectory() as t:
    weights = random_weights()
    parameters = sum(isinstance(v, torch.nn.Parameter) for v in weights.values())
    check("62 parameters, 40 buffers", parameters == 62 and len(weights) == 102)
    zip_file(Path(t, "zip.pth"), weights)
    tar_file(Path(t, "tar.pth"), weights)
    stream = collections.OrderedDict((f"module.{k}", v) for k, v in weights.items())
    torch.save(stream, Path(t, "stream.pth"), _use_new_zipfile_serialization=False)
    for name in ("zip", "tar", "stream"):
        check_file(name, Path(t, f"{name}.pth"), weights)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
