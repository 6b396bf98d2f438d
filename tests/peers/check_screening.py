#!/usr/bin/env python3
"""Screening by ./evaluate against NumPy's figures from the logits it writes; and scikit-learn's where it is installed.

  build/peers/bin/python tests/peers/check_screening.py [--bin .]

A folder of noise in two shades, twice as many of the darker, and a net after a few steps of training.
"""
import argparse
import csv
import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np

ap = argparse.ArgumentParser()
ap.add_argument("--bin", default=".")
a = ap.parse_args()
passed = failed = 0
CLASSES = ("dark", "light")
COUNTS = {"train": (32, 32), "val": (80, 40), "test": (64, 32)}


def check(name, held):
    global passed, failed
    passed, failed = passed + bool(held), failed + (not held)
    print(f"{'ok  ' if held else 'FAIL'} {name}")


def near(x, y, bound=1e-9):
    return abs(x - y) <= bound


def run(program, *flags):
    command = [f"{a.bin}/{program}", *map(str, flags), "--quiet"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def png(path, pixels):
    """Planes [3][H][W] as a PNG without filters."""
    def chunk(name, data):
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
    height, width = pixels.shape[1:]
    rows = pixels.transpose(1, 2, 0).reshape(height, -1)
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) +
                     chunk(b"IEND", b""))


def make_data(folder):
    rng = np.random.default_rng(1)
    for split, counts in COUNTS.items():
        for label, count in enumerate(counts):
            place = folder / split / CLASSES[label]
            place.mkdir(parents=True)
            for i in range(count):
                shade = 110 + 15 * label + rng.normal(0, 20)
                png(place / f"{i:03}.png", np.clip(shade + rng.normal(0, 40, (3, 36, 36)), 0, 255).astype(np.uint8))


def labels_of(split):
    return np.repeat((0, 1), COUNTS[split])


def margins_of(path):
    x = np.load(path).astype(np.float64)
    return x[:, 1] - x[:, 0]


def figures(margin, label, threshold):
    """Of decisions margin >= threshold, and of the ranking; average precision as scikit-learn defines it."""
    positive, called = label == 1, margin >= threshold
    found, wrong = (positive & called).sum(), (~positive & called).sum()
    order = np.unique(margin)[::-1]
    recall = np.array([(positive & (margin >= t)).sum() / positive.sum() for t in order])
    precision = np.array([(positive & (margin >= t)).sum() / (margin >= t).sum() for t in order])
    pairs = margin[positive][:, None] - margin[~positive][None, :]
    sensitivity, specificity = found / positive.sum(), 1 - wrong / (~positive).sum()
    return {"sensitivity": sensitivity, "specificity": specificity, "precision": found / max(found + wrong, 1),
            "f1": 2 * found / (positive.sum() + found + wrong), "accuracy": (positive == called).mean(),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "auc": ((pairs > 0) + 0.5 * (pairs == 0)).mean(),
            "average_precision": (np.diff(recall, prepend=0) * precision).sum()}


def choose(margin, label, target):
    """The highest of the margins that finds this share."""
    return max(t for t in margin if (margin[label == 1] >= t).mean() >= target)


def compare(name, got, want):
    for key, value in want.items():
        check(f"{name}: {key}", near(got[key], value))


def compare_intervals(d, margin, label, threshold):
    """NumPy's own resamples are others, so that ends differ by a little."""
    rng, n, drawn = np.random.default_rng(2), len(label), []
    for _ in range(1000):
        i = rng.integers(0, n, n)
        drawn.append(list(figures(margin[i], label[i], threshold).values()))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    for k, key in enumerate(figures(margin, label, threshold)):
        check(f"interval of {key}", np.allclose(d["bootstrap"][key], (low[k], high[k]), atol=0.03))


def compare_scikit(d, margin, label):
    try:
        from sklearn.metrics import average_precision_score, roc_auc_score
    except ImportError:
        return
    check("scikit-learn's AUC", near(d["auc"], roc_auc_score(label, margin)))
    check("scikit-learn's average precision", near(d["average_precision"], average_precision_score(label, margin)))


def compare_curves(folder, margin, label):
    for name, keys in (("roc", ("sensitivity", "specificity")), ("pr", ("recall", "precision"))):
        lines = list(csv.DictReader((folder / f"{name}.csv").open()))
        held = len(lines) == 1 + len(np.unique(margin)) and float(lines[0]["threshold_margin"]) == np.inf
        for line in lines[1:]:
            want = figures(margin, label, float(line["threshold_margin"]))
            want["recall"] = want["sensitivity"]
            held &= all(near(float(line[key]), want[key]) for key in keys)
        check(f"--{name}: {len(lines)} lines", held)


def evaluate(folder, net, split, *flags):
    return json.loads(run("evaluate", "--checkpoint", net, "--data", f"folder:{folder}", "--split", split, "--json",
                          "--logits", folder / f"{split}.npy", *flags))


def test_screening(folder, net):
    plain = evaluate(folder, net, "val")
    compare("answers on val", plain, figures(margins_of(folder / "val.npy"), labels_of("val"), np.nextafter(0, 1)))
    check("no threshold was chosen", plain["threshold_split"] is None and plain["threshold"] == 0.5)
    d = evaluate(folder, net, "test", "--target-sensitivity", 0.9, "--roc", folder / "roc.csv",
                 "--pr", folder / "pr.csv")
    val, test = margins_of(folder / "val.npy"), margins_of(folder / "test.npy")
    threshold = choose(val, labels_of("val"), 0.9)
    check("threshold from val", d["threshold_margin"] == threshold and d["threshold_split"] == "val")
    check("... as a probability", near(d["threshold"], 1 / (1 + np.exp(-threshold))))
    check("... of other images", d["threshold_choice"]["same_images"] is False)
    compare("on val", d["threshold_choice"], figures(val, labels_of("val"), threshold))
    compare("on test", d, figures(test, labels_of("test"), threshold))
    compare_intervals(d, test, labels_of("test"), threshold)
    compare_scikit(d, test, labels_of("test"))
    compare_curves(folder, test, labels_of("test"))
    own = evaluate(folder, net, "val", "--target-sensitivity", 0.9)
    check("on val itself", own["threshold_margin"] == threshold and own["threshold_choice"]["same_images"] is True)
    return d, test


def test_predictions(folder, net, margin):
    pictures = sorted((folder / "test" / CLASSES[0]).iterdir())[:5]
    d = json.loads(run("evaluate", "--checkpoint", net, "--predict", *pictures, "--json"))
    light = [next(t["probability"] for t in p["top5"] if t["class"] == CLASSES[1]) for p in d["predictions"]]
    want = 1 / (1 + np.exp(-margin[:5]))
    check("pictures alone have the probabilities of the folder's", np.allclose(light, want, rtol=0, atol=1e-9))
    check("... and their names", [p["file"] for p in d["predictions"]] == [str(p) for p in pictures])


def test_moved(folder, net, before):
    for path in sorted((folder / "test" / CLASSES[1]).iterdir())[:20]:
        path.rename(folder / "test" / CLASSES[0] / f"moved-{path.name}")
    d = evaluate(folder, net, "test", "--target-sensitivity", 0.9)
    check("moved test images leave the threshold", d["threshold_margin"] == before["threshold_margin"] and
          d["threshold_choice"] == before["threshold_choice"])
    check("... and change what it gives", d["sensitivity"] != before["sensitivity"] or d["auc"] != before["auc"])


with tempfile.TemporaryDirectory() as t:
    folder = Path(t) / "shades"
    make_data(folder)
    run("train", "--data", f"folder:{folder}", "--arch", "resnet18", "--stem", "imagenet", "--image-size", 32,
        "--batch-size", 16, "--epochs", 2, "--lr", 0.01, "--output", f"{t}/run")
    net = next((Path(t) / "run" / "checkpoints").glob("*_last.pth"))
    found, margin = test_screening(folder, net)
    test_predictions(folder, net, margin)
    test_moved(folder, net, found)
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
