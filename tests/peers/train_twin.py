#!/usr/bin/env python3
"""A run of ours once more in PyTorch: the same initial weights, the same batches, the same settings.

  ./train ... --max-steps 0 --output INIT
  build/peers/bin/python tests/peers/train_twin.py INIT --output TWIN.csv --state TWIN.pt
  build/peers/bin/python tests/peers/train_twin.py INIT --epochs 1 --check RUN      # RUN: the same run by ./train

Batches come from the program `batches` (make tests), augmented by our own code; all else - net, loss, gradients,
optimiser, schedule, average of weights, validation - is PyTorch's float32 arithmetic or, for rates, the formulas
of rule A28.  --state is written after every epoch, and a run that was cut goes on from it when told the same again.
"""
import argparse
import csv
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("run", type=Path, help="folder with args.conf and, at step 0, checkpoints/*_last.pth")
ap.add_argument("--initial", type=Path, help="weights to begin with; default: the checkpoint in the folder")
ap.add_argument("--batches", default="build/release/tests/peers/batches")
ap.add_argument("--output", type=Path, help="CSV; default: stdout")
ap.add_argument("--state", type=Path, help="saved after every epoch, read at the start if it is there")
ap.add_argument("--epochs", type=int, help="stop after this one, counted from the start; default: the run's last")
ap.add_argument("--check", type=Path, help="a run of ours: compare its hashes.txt's losses and results.csv")
ap.add_argument("--first", type=int, default=3, help="steps that --check looks at; later ones part exponentially")
ap.add_argument("--bound", type=float, default=1e-3, help="of their losses, relative; with small rates 1e-5 holds")
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--layout", choices=["channels_last", "contiguous"], default="channels_last")
ap.add_argument("--malloc", choices=["tuned", "default"], default="tuned",
                help="tuned: glibc keeps freed memory, and torch takes huge pages: faster")
a = ap.parse_args()
TUNED = {"MALLOC_MMAP_THRESHOLD_": str(16 << 30), "MALLOC_TRIM_THRESHOLD_": str(64 << 30),
         "MALLOC_TOP_PAD_": str(64 << 20), "THP_MEM_ALLOC_ENABLE": "1", "OMP_NUM_THREADS": str(a.threads)}
if a.malloc == "tuned" and "MALLOC_MMAP_THRESHOLD_" not in os.environ:
    os.environ.update(TUNED)
    os.execv(sys.executable, [sys.executable, *sys.argv])

import torch  # noqa: E402  (after the environment is set)
from torch.nn import functional as F  # noqa: E402

from resnet import ResNet  # noqa: E402

torch.set_num_threads(a.threads)
LAYOUT = torch.channels_last if a.layout == "channels_last" else torch.contiguous_format


# -- settings ------------------------------------------------------------------------------------------
class Settings:
    """args.conf: every setting in force, `key = value` a line."""

    def __init__(self, path):
        lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
        self.value = dict(map(str.strip, line.split("=", 1)) for line in lines if line)

    def text(self, key, otherwise=None):
        return self.value.get(key, otherwise)

    def real(self, key, otherwise=0.0):
        return float(self.value.get(key, otherwise))

    def count(self, key, otherwise=0):
        return int(self.value.get(key, otherwise))

    def on(self, key):
        return self.value.get(key) == "true"


conf = Settings(a.run / "args.conf")
ADAMW = conf.text("opt") == "adamw"
PARTS = conf.count("grad-accum-steps", 1)
FROZEN = tuple(prefix for prefix in conf.text("freeze", "").split(",") if prefix)


# -- schedule ------------------------------------------------------------------------------------------
def half_cosine(x, y, t):
    return y + (x - y) * (0.5 * (1.0 + math.cos(math.pi * t)))


class Schedule:
    """Rates as functions of step and epoch, from 0; for a plateau, torch's own class has the last word."""

    def __init__(self, steps_per_epoch):
        self.kind, self.steps = conf.text("lr-scheduler"), steps_per_epoch
        self.warmup, self.span, self.low = conf.count("lr-warmup-epochs"), conf.count("t-max"), conf.real("lr-min")
        self.plateau = None

    def cycle(self, step, start, peak, end):
        last = self.span * self.steps - 1.0
        turn = conf.real("pct-start") * (last + 1.0) - 1.0
        t = min(step, last)
        if t <= turn:
            return half_cosine(start, peak, t / turn) if turn > 0 else peak
        return half_cosine(peak, end, (t - turn) / (last - turn)) if last > turn else end

    def rate(self, peak, step, epoch):
        if self.kind == "onecycle":
            start = peak / conf.real("div-factor")
            return self.cycle(step, start, peak, start / conf.real("final-div-factor"))
        if epoch < self.warmup:
            return peak * ((epoch + 1) / self.warmup)
        t = epoch - self.warmup
        if self.kind == "cosine":
            return half_cosine(peak, self.low, min(t, self.span) / max(self.span, 1))
        if self.kind == "step":
            return peak * conf.real("lr-gamma") ** (t // conf.count("lr-step-size"))
        return peak

    def momentum(self, otherwise, step):
        if self.kind != "onecycle" or not conf.on("cycle-momentum"):
            return otherwise
        high, low = conf.real("max-momentum"), conf.real("base-momentum")
        return self.cycle(step, high, low, high)

    def attach(self, optimizer):
        if self.kind == "plateau":
            self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, mode=conf.text("lr-mode", "min"), factor=conf.real("lr-factor"), min_lr=self.low,
                patience=conf.count("lr-patience"), threshold=conf.real("lr-threshold"),
                threshold_mode=conf.text("lr-threshold-mode", "rel"), cooldown=conf.count("lr-cooldown"),
                eps=conf.real("lr-eps", 1e-8))

    def validated(self, loss, accuracy, epoch):
        if self.plateau and epoch >= self.warmup:
            self.plateau.step(accuracy if conf.text("lr-mode") == "max" else loss)


# -- batches -------------------------------------------------------------------------------------------
class Batches:
    """(images, labels) of the program `batches`, None at the end of every epoch."""

    def __init__(self, *flags):
        command = [a.batches, "--config", str(a.run / "args.conf"), "--quiet", *map(str, flags)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=1 << 20)

    def take(self, count):
        data = bytearray(4 * count)
        view, have = memoryview(data), 0
        while have < len(data):
            got = self.process.stdout.readinto(view[have:])
            if not got:
                raise SystemExit(f"train_twin: {a.batches} ended with status {self.process.wait()}")
            have += got
        return data

    def next(self):
        n, c, h, w = torch.frombuffer(self.take(4), dtype=torch.int32).tolist()
        if n == 0:
            return None
        labels = torch.frombuffer(self.take(n), dtype=torch.int32).long()
        return torch.frombuffer(self.take(n * c * h * w), dtype=torch.float32).view(n, c, h, w), labels

    def step(self):
        """The parts of one step; none at the end of an epoch."""
        parts = []
        while len(parts) < PARTS and not (parts and self.at_end):
            part = self.next()
            self.at_end = part is None
            if self.at_end:
                break
            parts.append(part)
        return parts

    at_end = False

    def close(self):
        self.process.stdout.close()
        self.process.terminate()
        self.process.wait()


# -- the net and its optimiser -------------------------------------------------------------------------
def initial_weights():
    path = a.initial or next((a.run / "checkpoints").rglob("*_last.pth"))
    loaded = torch.load(path, weights_only=True, map_location="cpu")
    own = loaded.get("resnet_c", {})
    if not a.initial and own.get("step", 0) != 0:
        raise SystemExit(f"train_twin: {path} is of step {own['step']}; --max-steps 0 writes one of step 0")
    return loaded.get("model_state_dict", loaded)


def make_model():
    model = ResNet(conf.text("arch"), conf.text("stem"), conf.count("num-classes"))
    model.load_state_dict(initial_weights(), strict=True)
    for name, p in model.named_parameters():
        p.requires_grad_(not name.startswith(FROZEN))
    return training(model.to(memory_format=LAYOUT))


def training(model):
    """Training mode; of batch norms only if they are not frozen."""
    model.train()
    if conf.on("freeze-bn"):
        for m in model.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.eval()
    return model


def wanted(name, p):
    """Peak rate and weight decay of a parameter; norms and biases as torchvision's training script has them."""
    bias, head, norm = name.endswith(".bias"), name.startswith("fc."), p.dim() == 1 and not name.startswith("fc.")
    peak = conf.real("head-lr" if head else "lr")
    decay = conf.real("weight-decay")
    if bias:
        peak = conf.real("bias-lr", peak)
    if bias and conf.text("bias-weight-decay"):
        decay = conf.real("bias-weight-decay")
    elif norm and conf.text("norm-weight-decay"):
        decay = conf.real("norm-weight-decay")
    return peak, decay


def make_optimizer(model):
    groups = {}
    for name, p in model.named_parameters():
        groups.setdefault(wanted(name, p), []).append(p)
    rows = [{"params": list(p), "lr": peak, "peak": peak, "weight_decay": decay}
            for (peak, decay), p in groups.items()]
    if ADAMW:
        betas = (conf.real("beta1"), conf.real("beta2"))
        return torch.optim.AdamW(rows, betas=betas, eps=conf.real("opt-eps"), foreach=True)
    return torch.optim.SGD(rows, momentum=conf.real("momentum"), nesterov=conf.on("nesterov"), foreach=True)


def set_rates(optimizer, schedule, step, epoch):
    for g in optimizer.param_groups:
        if not schedule.plateau or epoch <= schedule.warmup:
            g["lr"] = schedule.rate(g["peak"], step, epoch)
        if ADAMW:
            g["betas"] = (schedule.momentum(conf.real("beta1"), step), g["betas"][1])
        else:
            g["momentum"] = schedule.momentum(conf.real("momentum"), step)


class Average:
    """Of parameters and running statistics: e += (1 - d)(w - e)."""

    def __init__(self, model):
        self.now = [t for t in model.state_dict().values() if t.is_floating_point()]
        self.value = [t.clone(memory_format=torch.preserve_format) for t in self.now]

    @torch.no_grad()
    def follow(self):
        torch._foreach_lerp_(self.value, self.now, 1 - conf.real("model-ema-decay", 0.999))

    @torch.no_grad()
    def exchange(self):
        for now, value in zip(self.now, self.value):
            keep = now.clone(memory_format=torch.preserve_format)
            now.copy_(value)
            value.copy_(keep)


# -- training ------------------------------------------------------------------------------------------
def forward(model, x):
    x = x.contiguous(memory_format=LAYOUT)
    size = conf.count("upsample")
    if size:
        x = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
    return model(x)


class Twin:
    def __init__(self):
        self.model = make_model()
        self.optimizer = make_optimizer(self.model)
        self.average = Average(self.model) if conf.on("model-ema") else None
        self.epoch = self.step = 0
        self.rows, self.losses = [], []
        self.schedule = Schedule(self.steps_per_epoch())
        self.schedule.attach(self.optimizer)
        if a.state and a.state.exists():
            self.load()

    def steps_per_epoch(self):
        """The one-cycle needs it before the first step: of the set's size, from the program that knows."""
        if conf.text("lr-scheduler") != "onecycle":
            return 0
        command = [a.batches, "--config", a.run / "args.conf", "--count"]
        return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)

    def update(self, parts):
        """One step; (sum of losses, right answers, images)."""
        total, loss_sum, correct = sum(len(y) for _, y in parts), 0.0, 0
        set_rates(self.optimizer, self.schedule, self.step, self.epoch)
        self.optimizer.zero_grad(set_to_none=True)
        for x, y in parts:
            logits = forward(self.model, x)
            loss = F.cross_entropy(logits, y, label_smoothing=conf.real("label-smoothing"), reduction="sum") / total
            loss.backward()
            loss_sum += loss.item() * total
            correct += int((logits.detach().argmax(1) == y).sum())
        if conf.text("clip-grad-norm"):
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), conf.real("clip-grad-norm"))
        self.optimizer.step()
        self.step += 1
        if self.average and self.step % conf.count("model-ema-steps", 1) == 0:
            self.average.follow()
        return loss_sum, correct, total

    @torch.no_grad()
    def validate(self):
        stream, loss, correct, count = Batches("--split", "val"), 0.0, 0, 0
        if self.average:
            self.average.exchange()
        self.model.eval()
        while (batch := stream.next()) is not None:
            logits = forward(self.model, batch[0])
            loss += F.cross_entropy(logits, batch[1], reduction="sum").item()
            correct += int((logits.argmax(1) == batch[1]).sum())
            count += len(batch[1])
        training(self.model)
        if self.average:
            self.average.exchange()
        stream.close()
        return loss / count, 100.0 * correct / count

    def train_epoch(self, stream):
        began, loss, correct, count = time.perf_counter(), 0.0, 0, 0
        while parts := stream.step():
            one = self.update(parts)
            self.losses.append(one[0] / one[2])
            loss, correct, count = loss + one[0], correct + one[1], count + one[2]
        seconds = time.perf_counter() - began
        val_loss, val_acc = self.validate()
        self.schedule.validated(val_loss, val_acc, self.epoch)
        self.epoch += 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.rows.append(dict(epoch=self.epoch, train_loss=loss / count, train_acc=100.0 * correct / count,
                              val_loss=val_loss, val_acc=val_acc, seconds=round(seconds, 3),
                              images_per_second=round(count / seconds, 2), peak_rss_mb=round(peak, 1)))

    def save(self):
        plateau = self.schedule.plateau
        state = dict(model=self.model.state_dict(), optimizer=self.optimizer.state_dict(), epoch=self.epoch,
                     step=self.step, rows=self.rows, losses=self.losses, plateau=plateau.state_dict() if plateau else None,
                     average=self.average.value if self.average else None)
        part = a.state.with_name(a.state.name + ".part")
        torch.save(state, part)
        os.replace(part, a.state)

    def load(self):
        state = torch.load(a.state, weights_only=True, map_location="cpu")
        self.model.load_state_dict(state["model"], strict=True)
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.rows, self.losses = (state[k] for k in ("epoch", "step", "rows", "losses"))
        if self.schedule.plateau:
            self.schedule.plateau.load_state_dict(state["plateau"])
        if self.average:
            for mine, saved in zip(self.average.value, state["average"]):
                mine.copy_(saved)

    def write_csv(self, file):
        table = csv.DictWriter(file, list(self.rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)

    def run(self):
        last = min(a.epochs or conf.count("epochs"), conf.count("epochs"))
        if self.epoch >= last:
            return
        stream = Batches("--first", self.epoch, "--last", last - 1)
        while self.epoch < last:
            self.train_epoch(stream)
            if a.state:
                self.save()
            if a.output:
                with open(a.output, "w") as f:
                    self.write_csv(f)
            r = self.rows[-1]
            print(f"epoch {r['epoch']}/{conf.count('epochs')}  loss {r['train_loss']:.4f}  "
                  f"train {r['train_acc']:.2f} %  val {r['val_loss']:.4f} {r['val_acc']:.2f} %  "
                  f"{r['images_per_second']} images/s", file=sys.stderr)
        stream.close()


# -- comparison ----------------------------------------------------------------------------------------
def compare(twin, folder):
    """Losses of the first steps must agree; the epochs are shown."""
    lines = [line.split() for line in (folder / "hashes.txt").read_text().splitlines()]
    ours = [float.fromhex(words[3]) for words in lines if words[0] == "step"]
    worst = 0.0
    for i, (x, y) in enumerate(zip(ours, twin.losses)):
        worst = max(worst, abs(x - y) / abs(x)) if i < a.first else worst
        print(f"step {i + 1}: ours {x:.7f}  torch {y:.7f}  relative {abs(x - y) / abs(x):.1e}")
    with open(folder / "results.csv") as f:
        for mine, theirs in zip(csv.DictReader(f), twin.rows):
            columns = ("train_loss", "train_acc", "val_loss", "val_acc")
            print(f"epoch {mine['epoch']}: " + "  ".join(f"{k} {float(mine[k]):.4f} / {theirs[k]:.4f}" for k in columns))
    good = bool(ours) and worst <= a.bound
    print(f"{'ok  ' if good else 'FAIL'} losses of the first {a.first} steps differ by {worst:.1e}, {a.bound:.0e} is allowed")
    return good


twin = Twin()
twin.run()
if not a.output and twin.rows:
    twin.write_csv(sys.stdout)
sys.exit(0 if not a.check or compare(twin, a.check) else 1)
