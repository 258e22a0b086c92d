"""Writes x.npy (n x d, on the sphere |x|^2 = d) and weights.npz (omega^l as W1 .. WL, standard normal) for every tool of one case.

    python inputs.py FOLDER --samples N --features D --width W --depth L
"""

import argparse
import os

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("folder")
for name in ("samples", "features", "width", "depth"):
    parser.add_argument(f"--{name}", type=int, required=True)
a = parser.parse_args()

random = np.random.default_rng(1)
x = random.standard_normal((a.samples, a.features))
x *= np.sqrt(a.features) / np.linalg.norm(x, axis=1, keepdims=True)
sizes = [a.features] + [a.width] * (a.depth - 1) + [1]
os.makedirs(a.folder, exist_ok=True)
np.save(os.path.join(a.folder, "x.npy"), x)
np.savez(os.path.join(a.folder, "weights.npz"), **{f"W{l}": random.standard_normal((sizes[l], sizes[l - 1])) for l in range(1, len(sizes))})
