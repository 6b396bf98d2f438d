#!/usr/bin/env python3
"""Mixed precision beside PyTorch: the rule of torch.amp.GradScaler, its state out of our checkpoints, and what
torch.autocast makes of each operation of a ResNet (the table in docs/numerics.md).

  build/peers/bin/python tests/peers/check_amp.py [--bin .] [--scaler build/release/tests/peers/scaler]
"""
import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch.nn import functional as F

ap = argparse.ArgumentParser()
ap.add_argument("--bin", default=".")
ap.add_argument("--scaler", default="build/release/tests/peers/scaler")
a = ap.parse_args()
torch.set_num_threads(1)
passed = failed = 0


def check(name, held, detail=""):
    global passed, failed
    passed, failed = passed + bool(held), failed + (not held)
    print(f"{'ok  ' if held else 'FAIL'} {name}{': ' + detail if detail else ''}")


def state(scaler):
    d = scaler.state_dict()
    return d["scale"], d["_growth_tracker"]


def theirs(init, interval, overflows, optimizer_of):
    """Scale, tracker and steps skipped after each step, as a script of PyTorch has them."""
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = optimizer_of([weight])
    scaler = torch.amp.GradScaler("cpu", init_scale=init, growth_interval=interval)
    rows, skipped = [], 0
    for i, overflow in enumerate(overflows):
        loss = (weight * torch.tensor([1.0, 0.25, -0.5])).sum() / 4
        scaler.scale(loss).backward()
        if overflow:
            weight.grad[i % 3] = float("inf") if i % 2 else float("nan")
        before = weight.detach().clone()
        scaler.unscale_(optimizer)
        if not overflow:
            torch.nn.utils.clip_grad_norm_([weight], 1e30)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        skipped += torch.equal(before, weight)
        rows.append((*state(scaler), skipped))
    updates = optimizer.state[weight].get("step") if optimizer.state else None
    return rows, None if updates is None else int(updates)


def ours(init, interval, overflows):
    text = subprocess.run([a.scaler, repr(init), str(interval), "".join(map(str, overflows))], check=True,
                          capture_output=True, text=True).stdout
    return [(float.fromhex(s), int(t), int(k)) for s, t, k in map(str.split, text.splitlines())]


def check_rule():
    draw = random.Random(7)
    cases = [(2.0**16, 2000, [0] * 30 + [1] + [0] * 2010), (2.0**127, 1, [0, 0, 1, 0, 0, 0, 1, 1, 0]),
             (2.0**126, 3, [0] * 12), (1.0, 2, [1] * 20 + [0] * 6), (2.0**-100, 5, [1] * 26 + [0] * 20)]
    cases += [(2.0 ** draw.randint(-20, 120), draw.randint(1, 9),
               [int(draw.random() < 0.2) for _ in range(200)]) for _ in range(12)]
    for init, interval, overflows in cases:
        want, updates = theirs(init, interval, overflows, lambda p: torch.optim.AdamW(p, lr=0.01))
        got = ours(init, interval, overflows)
        first = next((i for i, (x, y) in enumerate(zip(got, want)) if x != y), -1)
        check(f"from {init:g}, interval {interval}, {len(overflows)} steps, {sum(overflows)} overflows",
              len(got) == len(want) and first < 0,
              f"step {first}: {got[first]}, torch {want[first]}" if first >= 0 else "")
        check("... AdamW counts the others", updates in (None, len(overflows) - sum(overflows)), f"{updates}")


def check_checkpoint():
    with tempfile.TemporaryDirectory() as t:
        subprocess.run([f"{a.bin}/train", "--data", "demo", "--stem", "cifar-pool", "--batch-size", "2",
                        "--epochs", "1", "--limit-train", "32", "--limit-val", "16", "--max-steps", "5", "--opt", "adamw",
                        "--loss-scale", "dynamic", "--loss-scale-init", "2^127", "--loss-scale-growth-interval", "9",
                        "--quiet", "--output", f"{t}/run"], check=True)
        loaded = torch.load(next(Path(t, "run/checkpoints").glob("*_last.pth")), weights_only=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=3.0)
    scaler.load_state_dict(loaded["scaler_state_dict"])
    check("keys of the state", set(loaded["scaler_state_dict"]) == set(scaler.state_dict()))
    check("it loads into GradScaler", scaler.state_dict() == loaded["scaler_state_dict"], str(scaler.state_dict()))
    skipped = loaded["resnet_c"]["skipped_steps"]
    steps = {int(s["step"]) for s in loaded["optimizer_state_dict"]["state"].values()}
    check("skipped steps are none of AdamW's", skipped > 0 and steps == {5 - skipped}, f"{skipped} skipped, {steps}")
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler.scale(weight.sum() * 2.0**-20).backward()
    scaler.step(optimizer)
    scaler.update()
    tracker = loaded["scaler_state_dict"]["_growth_tracker"]
    check("it goes on in PyTorch", weight.item() == -(2.0**-20) and state(scaler)[1] == (tracker + 1) % 9)


def check_autocast():
    """The middle column of the table: bf16 on a CPU."""
    x, w, v = torch.randn(2, 4, 8, 8), torch.randn(4, 4, 3, 3), torch.ones(4)
    fc, labels = torch.randn(5, 4), torch.tensor([1, 2])
    want = {"conv2d": torch.bfloat16, "batch_norm": torch.bfloat16, "relu": torch.bfloat16, "add": torch.bfloat16,
            "max_pool2d": torch.bfloat16, "adaptive_avg_pool2d": torch.bfloat16, "linear": torch.bfloat16,
            "interpolate": torch.bfloat16, "cross_entropy": torch.float32}
    got = {}
    with torch.autocast("cpu", torch.bfloat16):
        y = F.conv2d(x, w, padding=1)
        got["conv2d"] = y.dtype
        y = F.batch_norm(y, torch.zeros(4), torch.ones(4), v, v, training=True)
        got["batch_norm"] = y.dtype
        got["relu"], got["add"] = F.relu(y).dtype, (y + y).dtype
        got["max_pool2d"] = F.max_pool2d(y, 2).dtype
        got["interpolate"] = F.interpolate(y, scale_factor=2.0, mode="bilinear").dtype
        y = F.adaptive_avg_pool2d(y, 1)
        got["adaptive_avg_pool2d"] = y.dtype
        y = F.linear(y.flatten(1), fc)
        got["linear"] = y.dtype
        got["cross_entropy"] = F.cross_entropy(y, labels).dtype
    master = torch.nn.Parameter(w.clone())
    with torch.autocast("cpu", torch.bfloat16):
        y = F.conv2d(x, master, padding=1)
    y.float().square().sum().backward()
    got["weights' gradient"], want["weights' gradient"] = master.grad.dtype, torch.float32
    check("autocast: a weight's gradient was rounded to bf16", torch.equal(master.grad, master.grad.bfloat16().float()))
    for name, dtype in want.items():
        check(f"autocast: {name} gives {dtype}", got[name] == dtype, str(got[name]))


check_rule()
check_autocast()
check_checkpoint()
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
