"""Closed-form weights, smallest eigenvalue and determinant of deep normalised kernels in 400-digit arithmetic -> depth_limit.json.

The recursion is the textbook one on cosines: with this many digits nothing cancels. Run: python3 make_depth_limit.py (needs mpmath)."""
import json
import math
import pathlib
import random

import mpmath as mp

mp.mp.dps = 400
N, TESTS, D, DEPTHS = 7, 2, 4, [3, 10, 50, 200, 500]


def points(count, seed):
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        row = [rng.gauss(0, 1) for _ in range(D)]
        norm = math.sqrt(sum(v * v for v in row) / D)
        rows.append([v / norm for v in row])
    return rows


def cosine(a, b):
    dot = lambda p, q: sum(mp.mpf(u) * mp.mpf(v) for u, v in zip(p, q))
    return dot(a, b) / mp.sqrt(dot(a, a) * dot(b, b))


def duals(activation, q, rho):
    """E[phi phi], E[phi' phi'] at variance q and correlation rho."""
    if activation == "relu":
        theta = mp.acos(rho)
        return q * (mp.sin(theta) + (mp.pi - theta) * rho) / (2 * mp.pi), (mp.pi - theta) / (2 * mp.pi)
    inner = 2 * q * rho / (1 + 2 * q)
    return 2 / mp.pi * mp.asin(inner), 4 / mp.pi / mp.sqrt((1 + 2 * q) ** 2 - (2 * q * rho) ** 2)


def kernels(activation, weight_std, bias_std, kernel, rho):
    """Normalised kernel at each of DEPTHS."""
    w, b = mp.mpf(weight_std) ** 2, mp.mpf(bias_std) ** 2
    q, p = w + b, w * rho + b
    big, small = q, p  # Theta of a sample with itself, and of the pair
    result = {}
    for depth in range(1, DEPTHS[-1] + 1):
        if depth > 1:
            value, slope = duals(activation, q, p / q)
            own, own_slope = duals(activation, q, mp.mpf(1))
            q, p = w * own + b, w * value + b
            big, small = q + w * own_slope * big, p + w * slope * small
        if depth in DEPTHS:
            result[depth] = small / big if kernel == "ntk" else p / q
    return result


FAMILIES = [("relu", 1.0, 0.5, "ntk"), ("relu", 1.0, 0.5, "nngp"), ("erf", 0.7, 0.3, "ntk"),
            ("relu", math.sqrt(2), 0.0, "ntk"), ("erf", 1.5, 0.3, "ntk")]
train, tests = points(N, 1), points(TESTS, 2)
cases = []
for activation, weight_std, bias_std, kernel in FAMILIES:
    K = {d: mp.eye(N) for d in DEPTHS}
    k = {d: mp.zeros(TESTS, N) for d in DEPTHS}
    for i in range(N):
        for j in range(i):
            for d, v in kernels(activation, weight_std, bias_std, kernel, cosine(train[i], train[j])).items():
                K[d][i, j] = K[d][j, i] = v
        for t in range(TESTS):
            for d, v in kernels(activation, weight_std, bias_std, kernel, cosine(tests[t], train[i])).items():
                k[d][t, i] = v
    for d in DEPTHS:
        inverse = K[d] ** -1
        u = k[d] * inverse
        largest = max(1 - K[d][i, j] for i in range(N) for j in range(i))
        smallest = min(mp.eigsy(K[d], eigvals_only=True))
        cases.append({"activation": activation, "weight_std": weight_std, "bias_std": bias_std, "kernel": kernel, "depth": d,
                      "u": [[mp.nstr(u[t, i], 25) for i in range(N)] for t in range(TESTS)],
                      "log10_max_one_minus_k": mp.nstr(mp.log10(largest), 25), "log10_lambda_min": mp.nstr(mp.log10(smallest), 25),
                      "log_determinant": mp.nstr(mp.log(mp.det(K[d])), 25)})
path = pathlib.Path(__file__).with_name("depth_limit.json")
path.write_text(json.dumps({"train": train, "test": tests, "cases": cases}, indent=1) + "\n")
