#!/usr/bin/env python3
"""The figures of ./evaluate against NumPy's, from the logits it writes; and scikit-learn's where it is installed.

  build/peers/bin/python tests/peers/check_metrics.py [--bin .]

Random images with random labels, one class of them without any, and a net after one step of training.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ap = argparse.ArgumentParser()
ap.add_argument("--bin", default=".")
ap.add_argument("--images", type=int, default=500)
a = ap.parse_args()
passed = failed = 0


def check(name, held):
    global passed, failed
    passed, failed = passed + bool(held), failed + (not held)
    print(f"{'ok  ' if held else 'FAIL'} {name}")


def near(x, y):
    return abs(x - y) <= 1e-12


def run(program, *flags):
    command = [f"{a.bin}/{program}", *map(str, flags), "--quiet"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def idx(path, data):
    """The format of MNIST: two zero bytes, the type (bytes), the dimensions, the sizes, the data."""
    path.write_bytes(bytes([0, 0, 8, data.ndim]) + b"".join(n.to_bytes(4, "big") for n in data.shape) + data.tobytes())


def make_data(folder):
    rng = np.random.default_rng(1)
    for name, count in (("train", 16), ("t10k", a.images)):
        labels = rng.integers(0, 9, count, dtype=np.uint8)  # none of class 9
        idx(folder / f"{name}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        idx(folder / f"{name}-labels-idx1-ubyte", labels)
    return labels.astype(int)


def expected_error(confidence, right):
    total = 0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            total += abs(right[inside].mean() - confidence[inside].mean()) * inside.mean()
    return total


def compare(name, d, logits, labels):
    x = logits.astype(np.float64)
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    answers, count = x.argmax(axis=1), len(labels)
    right = answers == labels
    before = np.argsort(-x, axis=1, kind="stable")[:, :5]
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, answers), 1)
    check(f"{name}: counts", d["count"] == count and d["correct"] == right.sum() and d["confusion"] == confusion.tolist())
    check(f"{name}: top-1", near(d["top1"], 100 * right.mean()))
    check(f"{name}: top-5", near(d["top5"], 100 * (before == labels[:, None]).any(axis=1).mean()))
    check(f"{name}: loss", near(d["loss"], -np.log(p[np.arange(count), labels]).mean()))
    check(f"{name}: calibration", near(d["ece"], expected_error(p.max(axis=1), right)))
    rows, held = d["per_class"], True
    for c, row in enumerate(rows):
        true, said, have = (right & (labels == c)).sum(), (answers == c).sum(), (labels == c).sum()
        held &= row["support"] == have and row["answers"] == said and row["correct"] == true
        held &= near(row["precision"], true / max(said, 1)) and near(row["recall"], true / max(have, 1))
        held &= near(row["f1"], 2 * true / max(said + have, 1))
    check(f"{name}: classes", held)
    there = [r for r in rows if r["support"] + r["answers"]]
    for key in ("precision", "recall", "f1"):
        check(f"{name}: mean {key} over classes", near(d["macro"][key], np.mean([r[key] for r in there])))
        weighted = sum(r["support"] * r[key] for r in rows) / count
        check(f"{name}: mean {key} over images", near(d["weighted"][key], weighted))
    try:
        from sklearn.metrics import classification_report
    except ImportError:
        return
    report = classification_report(labels, answers, output_dict=True, zero_division=0)
    for ours, theirs in (("macro", "macro avg"), ("weighted", "weighted avg")):
        check(f"{name}: scikit-learn's {theirs}", near(d[ours]["precision"], report[theirs]["precision"]) and
              near(d[ours]["recall"], report[theirs]["recall"]) and near(d[ours]["f1"], report[theirs]["f1-score"]))


with tempfile.TemporaryDirectory() as t:
    folder = Path(t)
    labels = make_data(folder)
    run("train", "--data", f"mnist:{t}", "--stem", "cifar-pool", "--batch-size", 16, "--max-steps", 1,
        "--limit-val", 8, "--output", f"{t}/run")
    last = next((folder / "run" / "checkpoints").glob("*_last.pth"))
    for tta in ("none", "flip"):
        d = json.loads(run("evaluate", "--checkpoint", last, "--data", f"mnist:{t}", "--tta", tta, "--json",
                           "--logits", f"{t}/{tta}.npy"))
        compare(f"tta {tta}", d, np.load(f"{t}/{tta}.npy"), labels)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
