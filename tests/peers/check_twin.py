#!/usr/bin/env python3
"""Short runs of ./train and their twins in PyTorch (train_twin.py), one for each thing between gradients and weights.

  build/peers/bin/python tests/peers/check_twin.py [--bin .] [--batches build/release/tests/peers/batches] [CASE ...]

Rates are small, or eight steps would part exponentially; then the losses of all steps agree to the sixth digit.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ap = argparse.ArgumentParser()
ap.add_argument("--bin", default=".")
ap.add_argument("--batches", default="build/release/tests/peers/batches")
ap.add_argument("cases", nargs="*", help="only those with one of these words in their names")
a = ap.parse_args()
SMALL = ["--data", "demo", "--stem", "cifar-pool", "--limit-train", "128", "--limit-val", "64", "--batch-size", "16",
         "--epochs", "1", "--lr", "0.00001", "--lr-scheduler", "constant", "--label-smoothing", "0.1", "--quiet"]
CASES = {
    "groups, average, augmentation": ["--nesterov", "--norm-weight-decay", "0", "--bias-lr", "0.00002", "--model-ema",
                                      "--model-ema-decay", "0.8", "--augment", "crop:4,flip"],
    "clipping": ["--clip-grad-norm", "0.5", "--lr", "0.0002"],
    "frozen parameters, clipping": ["--freeze", "conv1,bn1.weight,layer2", "--clip-grad-norm", "0.5", "--lr", "0.0002"],
    "frozen batch norms": ["--freeze-bn", "--lr", "0.0002"],
    "accumulation, one-cycle": ["--grad-accum-steps", "2", "--lr-scheduler", "onecycle", "--lr", "0.0002"],
    "adamw, plateau": ["--opt", "adamw", "--opt-eps", "0.001", "--lr-scheduler", "plateau", "--lr-mode", "max",
                       "--lr-threshold-mode", "abs", "--lr-threshold", "90", "--lr-patience", "0", "--lr-cooldown", "1",
                       "--limit-train", "32", "--epochs", "4"],
}
if a.cases:
    CASES = {name: flags for name, flags in CASES.items() if any(word in name for word in a.cases)}
failed = 0
with tempfile.TemporaryDirectory() as t:
    for i, (name, flags) in enumerate(CASES.items()):
        initial, run = f"{t}/initial{i}", f"{t}/run{i}"
        for more in (["--max-steps", "0", "--output", initial], ["--output", run]):
            subprocess.run([f"{a.bin}/train", *SMALL, *flags, *more], check=True)
        command = [sys.executable, Path(__file__).with_name("train_twin.py"), initial, "--batches", a.batches]
        twin = subprocess.run(command + ["--check", run, "--first", "8", "--bound", "1e-5", "--output", f"{t}/{i}.csv"],
                              capture_output=True, text=True)
        verdict = twin.stdout.strip().splitlines()[-1:] or [twin.stderr.strip()[-200:]]
        failed += twin.returncode != 0
        print(f"{'ok  ' if twin.returncode == 0 else 'FAIL'} {name}: {verdict[0].removeprefix('ok   ')}")
print(f"{len(CASES) - failed} passed, {failed} failed")
sys.exit(failed > 0)
