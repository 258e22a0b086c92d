#!/usr/bin/env python3
"""Writes infinite_width.json: infinite-width NTK and NNGP by the textbook recursion in multi-precision arithmetic.

Usage: python3 make_infinite_width.py > infinite_width.json          (needs mpmath; about two minutes)

Independent of the library: covariances, acos of a cosine and asin at 60 digits and more, the leaky rectifier written as
a z + (1 - a) relu(z); no differences, no normalisation. Inputs and parameters are the exact doubles that are printed.

Sources: Cho & Saul 2009 (arc-cosine kernels), Williams 1997 (erf), Jacot et al. 2018 and Novak et al. 2022 (recursion, parametrizations).
Inputs are generic, so that no entry is near a zero crossing by accident: there an entry is a cancelled sum and has no relative precision.
"""
import json
import math
import random

from mpmath import acos, asin, cos, mp, mpf, pi, sin, sqrt


def clamp(cosine):
    return max(mpf(-1), min(mpf(1), cosine))


class Rectifier:
    def __init__(self, slope, slope_at_zero=None):
        self.a = mpf(slope)
        self.zero = self.a if slope_at_zero is None else mpf(slope_at_zero)

    def value(self, qx, qy, p):
        if qx == 0 or qy == 0:
            return mpf(0)
        t = acos(clamp(p / sqrt(qx * qy)))
        relu = sqrt(qx * qy) * (sin(t) + (pi - t) * cos(t)) / (2 * pi)
        return self.a**2 * p + self.a * (1 - self.a) * p + (1 - self.a) ** 2 * relu

    def slope(self, qx, qy, p):
        mean = lambda q: self.zero if q == 0 else (1 + self.a) / 2
        if qx == 0 or qy == 0:
            return mean(qx) * mean(qy)
        t = acos(clamp(p / sqrt(qx * qy)))
        return self.a**2 + self.a * (1 - self.a) + (1 - self.a) ** 2 * (pi - t) / (2 * pi)


class Erf:
    def value(self, qx, qy, p):
        return 2 / pi * asin(2 * p / sqrt((1 + 2 * qx) * (1 + 2 * qy)))

    def slope(self, qx, qy, p):
        return 4 / pi / sqrt((1 + 2 * qx) * (1 + 2 * qy) - 4 * p**2)


def activation(name):
    if name == "relu":
        return Rectifier(0)
    if name == "abs":
        return Rectifier(-1, 0)
    if name == "erf":
        return Erf()
    return Rectifier(float(name.split(":")[1]))


def kernels(case, inputs, depths):
    """{depth: (nngp, ntk)} as functions of the pair; lower triangles, row by row."""
    phi = activation(case["activation"])
    weight = mpf(case["weight_std"]) ** 2
    bias = mpf(0) if case["biases"] == "none" else mpf(case["bias_std"]) ** 2
    standard = case["parametrization"] == "standard"
    gradient = mpf(0) if case["biases"] != "trained" else (mpf(1) if standard else bias)
    d, n = len(inputs[0]), len(inputs)
    pairs = [(i, j) for i in range(n) for j in range(i + 1)]
    x = [[mpf(v) for v in row] for row in inputs]
    e = {(i, j): sum(a * b for a, b in zip(x[i], x[j])) / d for i, j in pairs}
    s = {pair: mpf(0) for pair in pairs}
    theta = {pair: mpf(0) for pair in pairs}
    result = {}
    for layer in range(1, max(depths) + 1):
        below = d if layer == 1 else case["width"]
        gain = mpf(below) if standard else weight
        theta = {pair: gain * e[pair] + gradient + weight * s[pair] * theta[pair] for pair in pairs}
        q = {pair: weight * e[pair] + bias for pair in pairs}
        if layer in depths:
            result[layer] = (q, theta)
        for i, j in pairs:
            e[i, j] = phi.value(q[i, i], q[j, j], q[i, j])
            s[i, j] = phi.slope(q[i, i], q[j, j], q[i, j])
    return result


def orthogonal(rng, x):
    y = [rng.gauss(0, 1) for _ in x]
    along = sum(a * b for a, b in zip(x, y)) / sum(a * a for a in x)
    y = [b - along * a for a, b in zip(x, y)]
    size = math.sqrt(sum(a * a for a in x) / sum(b * b for b in y))
    return [size * b for b in y]


def entry_inputs():
    rng = random.Random(7)
    x = [rng.gauss(0, 1) for _ in range(5)]
    y = [rng.gauss(0, 1) for _ in range(5)]
    side = orthogonal(rng, x)
    return [
        x,
        y,
        [3.25 * v for v in [rng.gauss(0, 1) for _ in range(5)]],
        [a + 1e-7 * b for a, b in zip(x, side)],  # nearly equal to the first
        [2.5 * (a + 1e-7 * b) for a, b in zip(x, side)],  # nearly parallel, another norm
        list(x),  # equal
        [-a for a in x],  # opposite
        [-a + 1e-7 * b for a, b in zip(x, side)],  # nearly opposite
        [-0.03125 * v for v in y],  # opposite, another norm
        [0.0] * 5,
    ]


def difference_inputs():
    rng = random.Random(11)
    x = [rng.gauss(0, 1) for _ in range(4)]
    side = orthogonal(rng, x)
    turn = lambda angle, norm: [norm * (math.cos(angle) * a + math.sin(angle) * b) for a, b in zip(x, side)]
    return [x, turn(0.3, 1), turn(1.9, 1), turn(1e-7, 1), turn(3.0, 1), turn(0.7, 1.5), turn(1e-7, 0.75), turn(1e-5, 1 + 1e-6)]


def case(name, weight_std, bias_std=0.0, biases="none", parametrization="ntk", width=7, depths=(1, 2, 3, 10), kernels_of=("ntk", "nngp")):
    return dict(activation=name, weight_std=weight_std, bias_std=bias_std, biases=biases, parametrization=parametrization,
                width=width, depths=list(depths), kernels=list(kernels_of))  # fmt: skip


ROOT2 = math.sqrt(2)
ENTRY_CASES = [
    case("relu", ROOT2, depths=(1, 2, 3, 10, 50)),
    case("relu", ROOT2, depths=(1000,), kernels_of=("ntk",)),
    case("relu", 1.3, 0.4, "trained", depths=(2, 4, 50)),
    case("relu", 1.6, 0.2, "fixed", depths=(1, 3, 30), kernels_of=("ntk",)),
    case("relu", 1.2, 0.5, "trained", "standard", depths=(1, 3, 20), kernels_of=("ntk",)),
    case("relu", 1.4, 0.0, "trained", "standard", depths=(1, 2, 5), kernels_of=("ntk",)),
    case("relu", ROOT2, 0.0, "none", "standard", depths=(3,), kernels_of=("ntk",)),
    case("leaky_relu:0.1", 1.4, depths=(2, 3, 50)),
    case("leaky_relu:0.1", 1.4, 0.3, "trained", depths=(4,), kernels_of=("ntk",)),
    case("leaky_relu:-0.4", 1.25, depths=(2, 10), kernels_of=("ntk",)),
    case("leaky_relu:-0.4", 1.25, 0.3, "fixed", depths=(3,)),
    case("leaky_relu:1.7", 0.8, depths=(2, 10), kernels_of=("ntk",)),
    case("leaky_relu:1.7", 0.8, 0.3, "trained", "standard", depths=(3,), kernels_of=("ntk",)),
    case("leaky_relu:-2.5", 0.5, 0.1, "trained", depths=(2, 9)),
    case("leaky_relu:0.3", 1.1, 0.0, "trained", "standard", depths=(4,), kernels_of=("ntk",)),
    case("abs", 1.0, depths=(1, 2, 3, 50)),
    case("abs", 0.9, 0.4, "trained", depths=(2, 10)),
    case("abs", 1.1, 0.0, "trained", "standard", depths=(3,), kernels_of=("ntk",)),
    case("erf", 1.5, depths=(1, 2, 3, 10, 50)),
    case("erf", 1.1, 0.3, "trained", depths=(2, 4, 50)),
    case("erf", 0.8, 0.2, "fixed", depths=(3, 20), kernels_of=("ntk",)),
    case("erf", 2.5, 0.1, "trained", "standard", depths=(2, 5), kernels_of=("ntk",)),
    case("erf", 1.3, 0.0, "trained", "standard", depths=(1, 4), kernels_of=("ntk",)),
    case("erf", 0.9, 0.25, "trained", depths=(1000,), kernels_of=("ntk",)),
]
DIFFERENCE_CASES = [
    case("relu", ROOT2, depths=(1, 2, 10, 30, 1000)),
    case("relu", 1.3, 0.4, "trained", depths=(2, 10, 30, 300)),
    case("relu", 1.3, 0.4, "fixed", depths=(10, 30)),
    case("relu", 1.1, 0.6, "trained", depths=(300,)),
    case("relu", 1.6, 0.3, "trained", depths=(30,)),
    case("relu", 1.3, 0.4, "trained", "standard", depths=(30,)),
    case("leaky_relu:0.2", 1.2, 0.3, "trained", depths=(3, 30)),
    case("abs", 0.9, 0.3, "trained", depths=(3, 30)),
    case("erf", 1.1, 0.3, "trained", depths=(2, 10, 30, 300)),
    case("erf", 2.0, 0.1, "trained", depths=(3, 30)),
    case("erf", 1.2, 0.0, "none", depths=(2, 30)),
]


def number(value, scale=1):
    """The nearest double; 0 where nothing but the rounding of the reference is left."""
    value = float(value) if abs(value) > mpf(10) ** (-mp.dps // 2) * scale else 0.0
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def main():
    mp.dps = 60
    inputs = entry_inputs()
    entries = []
    for c in ENTRY_CASES:
        mp.dps = 60 if max(c["depths"]) < 100 else 90
        for depth, (nngp, ntk) in kernels(c, inputs, set(c["depths"])).items():
            for kernel, values in (("nngp", nngp), ("ntk", ntk)):
                if kernel in c["kernels"]:
                    entries.append({**{k: v for k, v in c.items() if k not in ("depths", "kernels")},
                                    "depth": depth, "kernel": kernel, "lower": [number(v, sqrt(values[i, i] * values[j, j])) for (i, j), v in values.items()]})  # fmt: skip

    # Between the first input and every other one: 1 - rho and 1 - K.
    points = difference_inputs()
    differences = []
    for c in DIFFERENCE_CASES:
        mp.dps = 60 if max(c["depths"]) < 100 else 400
        for depth, (nngp, ntk) in kernels(c, points, set(c["depths"])).items():
            below = lambda k: [number(1 - k[j, 0] / sqrt(k[0, 0] * k[j, j])) for j in range(1, len(points))]
            differences.append({**{k: v for k, v in c.items() if k not in ("depths", "kernels")},
                                "depth": depth, "nngp": below(nngp), "ntk": below(ntk)})  # fmt: skip
    print("{")
    print(f'"inputs": {json.dumps(inputs)},')
    print('"entries": [\n' + ",\n".join(json.dumps(e) for e in entries) + "],")
    print(f'"points": {json.dumps(points)},')
    print('"differences": [\n' + ",\n".join(json.dumps(e) for e in differences) + "]\n}")


if __name__ == "__main__":
    main()
