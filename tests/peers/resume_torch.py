#!/usr/bin/env python3
"""Checkpoints that PyTorch wrote, resumed by ./train; and curves, read by TensorBoard.

  build/peers/bin/python tests/peers/resume_torch.py [--bin .]

A checkpoint of ours goes through torch.load and torch.save, as it is, without what only we put into it
(resnet_c), and with the state dicts of a real torch.optim.SGD and CosineAnnealingLR; each time ./train must go on
with the bits of an uninterrupted run.  The optimiser has one group, then torchvision's three (weights, norms,
biases).  With the package tensorboard installed, its reader must find the curves of results.csv.
"""
import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from resnet import ResNet

ap = argparse.ArgumentParser()
ap.add_argument("--bin", default=".")
a = ap.parse_args()
torch.set_num_threads(2)
passed = failed = skipped = 0


def check(name, held, detail=""):
    global passed, failed
    passed, failed = passed + bool(held), failed + (not held)
    print(f"{'ok  ' if held else 'FAIL'} {name}{': ' + detail if detail else ''}")


def train(folder, *flags):
    """Lines of --hash; two epochs of four steps in all."""
    command = [f"{a.bin}/train", "--data", "demo", "--arch", "resnet18", "--stem", "cifar-pool", "--batch-size", "16",
               "--limit-train", "64", "--limit-val", "16", "--epochs", "2", "--lr-scheduler", "cosine", "--quiet",
               "--hash", "--output", folder, *map(str, flags)]
    result = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in result.stdout.splitlines() if line.startswith("step ")]
    return lines if result.returncode == 0 else [result.stderr.strip()]


def last(folder):
    return next(Path(folder, "checkpoints").glob("*_last.pth"))


def groups(model, torchvision):
    """Parameters as torchvision's set_weight_decay sorts them with --norm-weight-decay and --bias-weight-decay."""
    if not torchvision:
        return [{"params": list(model.parameters())}]
    named = list(model.named_parameters())
    bias = [p for n, p in named if n.endswith(".bias")]
    norm = [p for n, p in named if not n.endswith(".bias") and p.dim() == 1]
    other = [p for n, p in named if p.dim() > 1]
    return [{"params": other}, {"params": norm, "weight_decay": 0.0}, {"params": bias, "weight_decay": 0.001}]


def through_torch(loaded, torchvision):
    """The same state, as a PyTorch script that knows nothing of ours would have saved it."""
    model = ResNet()
    model.load_state_dict(loaded["model_state_dict"], strict=True)
    optimizer = torch.optim.SGD(groups(model, torchvision), lr=0.02, momentum=0.9, weight_decay=5e-4)
    optimizer.load_state_dict(loaded["optimizer_state_dict"])
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    scheduler.load_state_dict(loaded["scheduler_state_dict"])
    return {"epoch": loaded["epoch"] - 1, "model_state_dict": model.state_dict(),  # counted from 0, as many do
            "optimizer_state_dict": optimizer.state_dict(), "scheduler_state_dict": scheduler.state_dict(),
            "best_acc": loaded["best_acc"], "loss": loaded["loss"]}


def check_resume(folder, name, flags, torchvision):
    whole = train(f"{folder}/whole", *flags)
    check(f"{name}: eight steps", len(whole) == 8, whole[-1][:150])
    train(f"{folder}/half", *flags, "--max-steps", 4)
    loaded = torch.load(last(f"{folder}/half"), weights_only=True)
    stripped = {k: v for k, v in loaded.items() if k != "resnet_c"}
    for i, (what, root) in enumerate([("saved again by PyTorch", loaded), ("without resnet_c", stripped),
                                      ("from torch.optim's own state dicts", through_torch(loaded, torchvision))]):
        torch.save(root, f"{folder}/{i}.pth")
        lines = train(f"{folder}/rest{i}", *flags, "--resume", f"{folder}/{i}.pth", "--threads", i + 1)
        check(f"{name}: {what}, goes on exactly", lines == whole[4:], lines[0][:150])


def check_curves(folder):
    global skipped
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        skipped += 1
        print("skip TensorBoard's reader: the package tensorboard is not installed")
        return
    train(f"{folder}/curves", "--tensorboard")
    reader = EventAccumulator(f"{folder}/curves").Reload()
    rows = list(csv.DictReader(open(f"{folder}/curves/results.csv")))
    columns = {"train/loss": "train_loss", "train/accuracy": "train_acc", "val/loss": "val_loss",
               "val/accuracy": "val_acc", "train/lr": "lr"}
    same = all([e.value for e in reader.Scalars(tag)] == [torch.tensor(float(r[key])).item() for r in rows]
               for tag, key in columns.items())
    check("TensorBoard reads the curves of results.csv", same, ", ".join(reader.Tags()["scalars"]))
    check("... and losses of steps", [e.step for e in reader.Scalars("step/loss")] == [1])


with tempfile.TemporaryDirectory() as folder:
    check_resume(f"{folder}/one", "one group", [], False)
    check_resume(f"{folder}/three", "three groups", ["--norm-weight-decay", 0, "--bias-weight-decay", 0.001], True)
    check_curves(folder)
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(failed != 0)
