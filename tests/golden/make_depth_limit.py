"""Closed-form weights, smallest eigenvalue and determinant of deep normalised kernels in 400-digit arithmetic -> depth_limit.json, and on
samples of unequal norms -> depth_limit_unequal.json.

The recursion is the textbook one on cosines: with this many digits nothing cancels. Run: python3 make_depth_limit.py (needs mpmath)."""
import json
import math
import pathlib
import random

import mpmath as mp

mp.mp.dps = 400
N, TESTS, D, DEPTHS = 7, 2, 4, [3, 10, 50, 200, 500]


def points(count, seed, unequal):
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        row = [rng.gauss(0, 1) for _ in range(D)]
        norm = math.sqrt(sum(v * v for v in row) / D)
        rows.append(row if unequal else [v / norm for v in row])
    return rows


def products(x, y, unequal):
    """|x|^2/d, |y|^2/d, <x, y>/d; divided by the norms, which are 1 but for rounding, unless they are to be unequal."""
    dot = lambda p, q: sum(mp.mpf(u) * mp.mpf(v) for u, v in zip(p, q)) / D
    xx, yy, xy = dot(x, x), dot(y, y), dot(x, y)
    return [xx, yy, xy] if unequal else [mp.mpf(1), mp.mpf(1), xy / mp.sqrt(xx * yy)]


def duals(activation, qx, qy, p):
    """E[phi phi], E[phi' phi'] at variances qx, qy and covariance p."""
    if activation == "relu":
        g = mp.sqrt(qx * qy)
        theta = mp.acos(min(mp.mpf(1), p / g))
        return (g * mp.sin(theta) + (mp.pi - theta) * p) / (2 * mp.pi), (mp.pi - theta) / (2 * mp.pi)
    a = (1 + 2 * qx) * (1 + 2 * qy)
    return 2 / mp.pi * mp.asin(2 * p / mp.sqrt(a)), 4 / mp.pi / mp.sqrt(a - 4 * p**2)


def kernels(activation, weight_std, bias_std, kernel, inputs):
    """Normalised kernel at each of DEPTHS. Lists: of x with itself, of y with itself, of x and y."""
    w, b = mp.mpf(weight_std) ** 2, mp.mpf(bias_std) ** 2
    q = [w * p + b for p in inputs]
    theta = list(q)
    result = {}
    for depth in range(1, DEPTHS[-1] + 1):
        if depth > 1:
            e = [duals(activation, v, v, v) for v in q[:2]] + [duals(activation, *q)]
            q = [w * value + b for value, _ in e]
            theta = [v + w * slope * t for v, (_, slope), t in zip(q, e, theta)]
        if depth in DEPTHS:
            of = theta if kernel == "ntk" else q
            result[depth] = of[2] / mp.sqrt(of[0] * of[1])
    return result


FAMILIES = [("relu", 1.0, 0.5, "ntk"), ("relu", 1.0, 0.5, "nngp"), ("erf", 0.7, 0.3, "ntk"),
            ("relu", math.sqrt(2), 0.0, "ntk"), ("erf", 1.5, 0.3, "ntk")]
UNEQUAL_FAMILIES = [("relu", 1.0, 0.5, "ntk"), ("relu", 1.0, 0.5, "nngp"), ("erf", 0.7, 0.3, "ntk"),
                    ("relu", math.sqrt(2), 0.3, "ntk"), ("erf", 1.5, 0.3, "ntk")]


def study(train, tests, families, unequal):
    cases = []
    for activation, weight_std, bias_std, kernel in families:
        K = {d: mp.eye(N) for d in DEPTHS}
        k = {d: mp.zeros(TESTS, N) for d in DEPTHS}
        for i in range(N):
            for j in range(i):
                for d, v in kernels(activation, weight_std, bias_std, kernel, products(train[i], train[j], unequal)).items():
                    K[d][i, j] = K[d][j, i] = v
            for t in range(TESTS):
                for d, v in kernels(activation, weight_std, bias_std, kernel, products(tests[t], train[i], unequal)).items():
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
    return {"train": train, "test": tests, "cases": cases}


for name, unequal, families in [("depth_limit", False, FAMILIES), ("depth_limit_unequal", True, UNEQUAL_FAMILIES)]:
    result = study(points(N, 1, unequal), points(TESTS, 2, unequal), families, unequal)
    pathlib.Path(__file__).with_name(name + ".json").write_text(json.dumps(result, indent=1) + "\n")
