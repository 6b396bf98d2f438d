#!/usr/bin/env python3
"""Repeats a short run of ours in PyTorch, from the same weights and the same batches, and compares.

  build/peers/bin/python tests/peers/torch_step.py [--dump build/release/tests/peers/dump] [--steps 20]

Float arithmetic in another order gives other last bits, so equality is the wrong question; PyTorch's
float64 run is the truth, and its float32 run says what rounding alone does.  Differences are relative,
in the 2-norm, per tensor: of a gradient to the gradient, of a weight to how far it has moved.

Then twenty steps of AdamW under a plateau, with label smoothing and a rate of its own for the head, from a
checkpoint of ours that torch.optim.AdamW and ReduceLROnPlateau load: the rates must be torch's, and every tensor of
weights and statistics within 1e-5 of the float64 run's, relative to itself; moments as above.

One thing is not rounding: a ReLU whose input is zero but for rounding may be open in one program and
closed in the other, and then gradients differ by thousandths.  Such units are few and known (|input| <
1e-5 in float64); where ours has one the other way, the float64 run is told to have it so too.
"""
import argparse
import copy
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from resnet import ResNet

ap = argparse.ArgumentParser()
ap.add_argument("--dump", default="build/release/tests/peers/dump")
ap.add_argument("--steps", type=int, default=20)
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--first", type=float, default=2e-5, help="bound of the gradients of step 1")
ap.add_argument("--last", type=float, default=2e-2, help="bound after the last step, or")
ap.add_argument("--factor", type=float, default=4.0, help="so many times what PyTorch's float32 differs by")
ap.add_argument("--plateau", type=float, default=1e-5, help="bound after the steps under a plateau")
ap.add_argument("--verbose", action="store_true", help="a line for every tensor, not only the worst")
a = ap.parse_args()
torch.set_num_threads(a.threads)
RATE = {"sgd": 1e-4, "adamw": 1e-5}  # small, or 20 steps part exponentially
EPS = 1e-3  # AdamW's: with 1e-8 the first update is the sign of the gradient, and signs of zeros are noise
NEAR = 1e-5
PLATEAU_RATE = 4e-3  # while warming up, so that no bias is all but zero; the twenty steps begin with 1e-4


class Relu(torch.autograd.Function):
    """ReLU that is open where mask says so."""

    @staticmethod
    def forward(ctx, x, mask):
        ctx.save_for_backward(mask)
        return x * mask

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0], None


class Gates(torch.nn.Module):
    """One ReLU for the whole net; counts its calls, and opens or closes units named in `flips`."""

    def __init__(self, flips=()):
        super().__init__()
        self.flips, self.call, self.near = flips, 0, []

    def forward(self, x):
        mask = x > 0
        for i in (x.abs().flatten() < NEAR).nonzero().flatten().tolist():
            self.near.append((self.call, i))
            if (self.call, i) in self.flips:
                mask.view(-1)[i] = ~mask.view(-1)[i]
        self.call += 1
        return Relu.apply(x, mask.to(x.dtype))


def make_model(state, dtype, flips=()):
    model = ResNet().to(dtype).train()
    model.load_state_dict({k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()})
    gates = Gates(flips)
    for m in [model, *model.layer1, *model.layer2, *model.layer3, *model.layer4]:
        m.relu = gates
    return model, gates


def loss_of(model, x, y):
    return F.cross_entropy(model(x), y, label_smoothing=0.1)


def gradients(state, x, y, dtype, flips=()):
    model, gates = make_model(state, dtype, flips)
    loss_of(model, x.to(dtype), y).backward()
    return {k: p.grad for k, p in model.named_parameters()}, gates.near


def relative(x, truth, start=torch.zeros(())):
    """How far x is from the truth, in parts of how far the truth is from the start."""
    return float((x.double() - truth).norm() / (truth - start.double()).norm().clamp_min(1e-30))


def distance(ours, truth):
    return sum(relative(ours[k], g) for k, g in truth.items())


def flipped(ours, state, x, y):
    """The units near zero that ours has the other way: flipping them brings float64 nearer.  From the last layer
    to the first, for a unit's own flip shows only in the layers before it."""
    truth, near = gradients(state, x, y, torch.float64)
    flips = set()
    for unit in reversed(near):
        other, _ = gradients(state, x, y, torch.float64, flips | {unit})
        if distance(ours, other) < distance(ours, truth):
            flips, truth = flips | {unit}, other
    return flips, truth


def run(kind, state, images, labels, dtype):
    """Losses, state after step 1 and after the last, as PyTorch has them."""
    model, losses = make_model(state, dtype)[0], []
    if kind == "sgd":
        opt = torch.optim.SGD(model.parameters(), lr=RATE[kind], momentum=0.9, weight_decay=5e-4)
    else:
        opt = torch.optim.AdamW(model.parameters(), lr=RATE[kind], weight_decay=5e-4, eps=EPS)
    for x, y in zip(images, labels):
        opt.zero_grad()
        loss = loss_of(model, x.to(dtype), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return {"loss": torch.tensor(losses, dtype=torch.float64), **model.state_dict()}


def judge(rows, bound):
    """Rows (ours, torch float32, name): prints the worst; returns how many there are, and are out of bounds."""
    rows.sort(reverse=True)
    bad = [r for r in rows if not r[0] <= bound(r)]
    for r in rows if a.verbose else rows[:3] + [r for r in bad if r not in rows[:3]]:
        print(f"  {r[2]:34} ours {r[0]:.1e}  torch float32 {r[1]:.1e}{'  TOO FAR' if r in bad else ''}")
    return len(rows), len(bad)


def dump(folder, *flags):
    subprocess.run([a.dump, folder, *map(str, flags)], check=True)
    return {n: load_file(Path(folder) / f"{n}.safetensors") for n in ("initial", "batches", "first", "last", "losses")}


def check_gradients(folder):
    data = dump(folder, "--batch-size", 4, "--steps", 1)
    begin, x, y = data["initial"], data["batches"]["images"][0], data["batches"]["labels"][0]
    ours = {k[5:]: v for k, v in data["first"].items() if k.startswith("grad.")}
    flips, truth = flipped(ours, begin, x, y)
    flips32, truth32 = flipped(gradients(begin, x, y, torch.float32)[0], begin, x, y)
    print(f"gradients of step 1; units near zero taken the other way: ours {len(flips)}, torch float32 {len(flips32)}")
    single, _ = gradients(begin, x, y, torch.float32)
    rows = [(relative(ours[k], g), relative(single[k], truth32[k]), k) for k, g in truth.items()]
    return judge(rows, lambda r: a.first)


def check_run(kind, folder):
    data = dump(folder, "--opt", kind, "--lr", RATE[kind], "--eps", EPS, "--steps", a.steps)
    begin, batches = data["initial"], data["batches"]
    ours = {"loss": data["losses"]["loss"], **data["last"]}
    single, truth = (run(kind, begin, batches["images"], batches["labels"], t) for t in (torch.float32, torch.float64))
    print(f"{kind}: loss of step {a.steps} {float(ours['loss'][-1]):.6f}, float64 {float(truth['loss'][-1]):.6f}")
    rows = []
    for k, t in truth.items():
        start = begin.get(k, torch.zeros(()))
        if t.is_floating_point():
            rows.append((relative(ours[k], t, start), relative(single[k], t, start), k))
        else:
            rows.append((0.0 if torch.equal(ours[k], t) else float("inf"), 0.0, k))
    return judge(rows, lambda r: max(a.last, a.factor * r[1]))


def continued(start, batches, val, dtype):
    """State dicts of model, optimiser and scheduler, four epochs after the checkpoint."""
    model = make_model(start["model_state_dict"], dtype)[0]
    body = [p for n, p in model.named_parameters() if not n.startswith("fc.")]
    opt = torch.optim.AdamW([{"params": body}, {"params": model.fc.parameters(), "lr": 10 * PLATEAU_RATE}],
                            lr=PLATEAU_RATE)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(opt)
    opt.load_state_dict(copy.deepcopy(start["optimizer_state_dict"]))  # or the steps would be taken in it
    plateau.load_state_dict(start["scheduler_state_dict"])
    for _ in range(4):
        for x, y in zip(batches["images"], batches["labels"]):
            opt.zero_grad()
            loss_of(model, x.to(dtype), y).backward()
            opt.step()
        model.eval()
        with torch.no_grad():
            plateau.step(F.cross_entropy(model(val["images"][0].to(dtype)), val["labels"][0]).item())
        model.train()
    return model.state_dict(), opt.state_dict(), plateau.state_dict()


def check_plateau(folder):
    subprocess.run([a.dump, folder, *map(str, ("--opt", "adamw", "--batch-size", 8, "--val", 16, "--steps", 5,
                                               "--epochs", 4, "--lr", PLATEAU_RATE, "--head-lr", 10 * PLATEAU_RATE))],
                   check=True)
    start, last = (torch.load(Path(folder) / f"{n}.pth", weights_only=True) for n in ("start", "last"))
    batches, val = (load_file(Path(folder) / f"{n}.safetensors") for n in ("batches", "val"))
    single, truth = (continued(start, batches, val, t) for t in (torch.float32, torch.float64))
    mine = last["model_state_dict"], last["optimizer_state_dict"], last["scheduler_state_dict"]
    rates = [[g["lr"] for g in o["param_groups"]] for o in (start["optimizer_state_dict"], mine[1], truth[1])]
    print(f"plateau: rates {rates[0]} to {rates[1]}")
    rows = [(0.0 if rates[1] == rates[2] else float("inf"), 0.0, "rates")]
    for key in ("num_bad_epochs", "cooldown_counter", "mode", "threshold_mode", "cooldown", "eps", "last_epoch"):
        rows.append((0.0 if mine[2][key] == truth[2][key] else float("inf"), 0.0, key))
    rows.append((abs(mine[2]["best"] / truth[2]["best"] - 1), abs(single[2]["best"] / truth[2]["best"] - 1), "best"))
    for k, t in truth[0].items():
        if t.is_floating_point():
            rows.append((relative(mine[0][k], t), relative(single[0][k], t), k))
    for number, moments in truth[1]["state"].items():
        for k in ("exp_avg", "exp_avg_sq"):
            of = [x[1]["state"][number][k] for x in (mine, single)]
            rows.append((relative(of[0], moments[k]), relative(of[1], moments[k]), f"{k} of {number}"))
    return judge(rows, lambda r: max(a.last, a.factor * r[1]) if r[2].startswith("exp_") else a.plateau)


with tempfile.TemporaryDirectory() as folder:
    counts = [check_gradients(folder)] + [check_run(kind, folder) for kind in RATE] + [check_plateau(folder)]
total, failed = (sum(c) for c in zip(*counts))
print(f"{total - failed} of {total} tensors within bounds")
sys.exit(failed != 0)
