#!/usr/bin/env python3
"""A checkpoint of ours, opened by PyTorch: weights, logits, optimiser and schedule.

  build/peers/bin/python tests/peers/load_checkpoint.py [--bin .] [--dump build/release/tests/peers/dump]

Trains a few steps with ./train under every optimiser and schedule, loads the checkpoint with
weights_only=True into a ResNet-18 under torchvision's names (strict), compares logits on unseen images with
those of ./evaluate, with --upsample too, and loads optimiser and scheduler state into torch.optim.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from torch.optim import lr_scheduler as schedulers

from resnet import ResNet

ap = argparse.ArgumentParser()
ap.add_argument("--bin", default=".")
ap.add_argument("--dump", default="build/release/tests/peers/dump")
ap.add_argument("--images", type=int, default=64)
a = ap.parse_args()
torch.set_num_threads(2)
passed = failed = 0


def check(name, held, detail=""):
    global passed, failed
    passed, failed = passed + bool(held), failed + (not held)
    print(f"{'ok  ' if held else 'FAIL'} {name}{': ' + detail if detail else ''}")


def run(*command):
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL)


def train(folder, *flags):
    run(f"{a.bin}/train", "--data", "demo", "--arch", "resnet18", "--stem", "cifar-pool", "--batch-size", 16,
        "--limit-train", 64, "--limit-val", 16, "--epochs", 2, "--quiet", "--output", folder, *flags)
    return next(Path(folder, "checkpoints").glob("*_last.pth"))


def logits(checkpoint, folder, *flags):
    run(f"{a.bin}/evaluate", "--checkpoint", checkpoint, "--data", "demo", "--limit", a.images, "--logits",
        f"{folder}/logits.npy", "--quiet", *flags)
    run(a.dump, f"{folder}/dump", "--steps", 1, "--val", a.images)
    images = load_file(f"{folder}/dump/val.safetensors")["images"][0]
    return torch.from_numpy(np.load(f"{folder}/logits.npy")), images


def check_weights(checkpoint, folder):
    loaded = torch.load(checkpoint, weights_only=True)
    wanted = {"epoch", "model_state_dict", "optimizer_state_dict", "scheduler_state_dict", "best_acc", "loss", "resnet_c"}
    check("keys of the checkpoint", wanted <= set(loaded), ", ".join(sorted(wanted - set(loaded))))
    model = ResNet()
    keys = model.load_state_dict(loaded["model_state_dict"], strict=True)
    check("strict load into torchvision's names", not keys.missing_keys and not keys.unexpected_keys)
    for name, flags, size in (("logits", (), 32), ("logits of resized images", ("--upsample", 56), 56)):
        ours, images = logits(checkpoint, folder, *flags)
        with torch.no_grad():
            theirs = model.eval()(F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False))
        error = float((ours - theirs).norm() / theirs.norm())
        check(f"{name} agree to 1e-4", ours.shape == theirs.shape and error <= 1e-4, f"{error:.1e}")


def check_state(name, checkpoint, make_optimizer, make_scheduler):
    loaded = torch.load(checkpoint, weights_only=True)
    model = ResNet()
    model.load_state_dict(loaded["model_state_dict"])
    optimizer = make_optimizer(model.parameters())
    scheduler = make_scheduler(optimizer)
    try:
        optimizer.load_state_dict(loaded["optimizer_state_dict"])
        scheduler.load_state_dict(loaded["scheduler_state_dict"])
        sizes = all(v.shape == p.shape for p in model.parameters() for k, v in optimizer.state[p].items()
                    if k != "step")
        full = len(optimizer.state) == len(list(model.parameters()))
        check(f"{name}: state of every parameter", sizes and full)
        rates = [g["lr"] for g in optimizer.param_groups]
        model(torch.zeros(2, 3, 32, 32)).sum().backward()
        optimizer.step()
        scheduler.step(*([1.0] if isinstance(scheduler, schedulers.ReduceLROnPlateau) else []))
        check(f"{name}: goes on in PyTorch", True, f"rate {rates[0]:.6g}, then {optimizer.param_groups[0]['lr']:.6g}")
    except Exception as e:  # whatever torch dislikes is a failed check, not the end of the others
        check(f"{name}: loads into torch.optim", False, repr(e)[:200])


def sgd(p):
    return torch.optim.SGD(p, lr=0.1, momentum=0.9)


def adamw(p):
    return torch.optim.AdamW(p, lr=0.001)


CASES = [
    ("sgd, cosine", ["--opt", "sgd", "--lr-scheduler", "cosine"], sgd, lambda o: schedulers.CosineAnnealingLR(o, 2)),
    ("sgd, step", ["--opt", "sgd", "--lr-scheduler", "step"], sgd, lambda o: schedulers.StepLR(o, 1)),
    ("sgd, constant", ["--opt", "sgd", "--lr-scheduler", "constant"], sgd, lambda o: schedulers.ConstantLR(o)),
    ("sgd, one-cycle", ["--opt", "sgd", "--lr-scheduler", "onecycle", "--max-steps", 5], sgd,
     lambda o: schedulers.OneCycleLR(o, 0.1, total_steps=100)),
    ("adamw, plateau", ["--opt", "adamw", "--lr", "0.001", "--lr-scheduler", "plateau"], adamw,
     lambda o: schedulers.ReduceLROnPlateau(o)),
]

with tempfile.TemporaryDirectory() as folder:
    for i, (name, flags, make_optimizer, make_scheduler) in enumerate(CASES):
        checkpoint = train(f"{folder}/run{i}", *flags)
        if i == 0:
            check_weights(checkpoint, folder)
        check_state(name, checkpoint, make_optimizer, make_scheduler)
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
