#!/usr/bin/env python3
"""Writes pair_recursion.json: the normalised infinite-width kernels at depths up to 1e5, in multi-precision arithmetic.

Usage: python3 make_pair_recursion.py > pair_recursion.json          (needs gmpy2; about five minutes)

Independent of the library: the textbook recursion of covariances (Cho & Saul 2009, Williams 1997, Jacot et al. 2018) with acos of a
cosine and asin at 80 digits and more, as many as the smallest 1 - K and 1 - rho take; no differences, no normalisation before the
end. Points and parameters are the exact doubles that are printed. Between the first point and each other one: rho, 1 - rho, K,
1 - K with rho = q_xy / sqrt(q_x q_y) and K = Theta_xy / sqrt(Theta_x Theta_y).
"""
import json
import math
import random
import sys

import gmpy2
from gmpy2 import acos, asin, mpfr, sqrt


class Rectifier:
    def __init__(self, slope):
        self.a = mpfr(slope)
        self.pi = gmpy2.const_pi()

    def self_image(self, q):
        square = (1 + self.a**2) / 2
        return square * q, square

    def image(self, qx, qy, p):
        g = sqrt(qx * qy)
        cosine = max(mpfr(-1), min(mpfr(1), p / g))
        t = acos(cosine)
        relu = g * (sqrt(1 - cosine**2) + (self.pi - t) * cosine) / (2 * self.pi)
        bend = (1 - self.a) ** 2
        return self.a * p + bend * relu, self.a + bend * (self.pi - t) / (2 * self.pi)


class Erf:
    def __init__(self):
        self.pi = gmpy2.const_pi()

    def self_image(self, q):
        return self.image(q, q, q)

    def image(self, qx, qy, p):
        a = (1 + 2 * qx) * (1 + 2 * qy)
        return 2 / self.pi * asin(2 * p / sqrt(a)), 4 / self.pi / sqrt(a - 4 * p**2)


def activation(name):
    if name == "erf":
        return Erf()
    return Rectifier({"relu": 0.0, "abs": -1.0}[name] if ":" not in name else float(name.split(":")[1]))


def normalised(case, points, depths):
    """{depth: [(rho, 1 - rho, K, 1 - K) for each further point]}"""
    phi = activation(case["activation"])
    weight, bias = mpfr(case["weight_std"]) ** 2, mpfr(case["bias_std"]) ** 2
    gradient = bias if case["trained"] else mpfr(0)
    n, d = len(points), len(points[0])
    x = [[mpfr(v) for v in p] for p in points]
    pairs = [(j, j) for j in range(n)] + [(0, j) for j in range(1, n)]
    e = {(i, j): sum(a * b for a, b in zip(x[i], x[j])) / d for i, j in pairs}
    s, theta, result = {pair: mpfr(0) for pair in pairs}, {pair: mpfr(0) for pair in pairs}, {}
    for layer in range(1, max(depths) + 1):
        theta = {p: weight * e[p] + gradient + weight * s[p] * theta[p] for p in pairs}
        q = {p: weight * e[p] + bias for p in pairs}
        if layer in depths:
            cosine = lambda k, j: k[0, j] / sqrt(k[0, 0] * k[j, j])
            result[layer] = [(cosine(q, j), 1 - cosine(q, j), cosine(theta, j), 1 - cosine(theta, j)) for j in range(1, n)]
        for j in range(n):
            e[j, j], s[j, j] = phi.self_image(q[j, j])
        for j in range(1, n):
            e[0, j], s[0, j] = phi.image(q[0, 0], q[j, j], q[0, j])
    return result


def points():
    rng = random.Random(23)
    x = [rng.gauss(0, 1) for _ in range(4)]
    y = [rng.gauss(0, 1) for _ in x]
    along = sum(a * b for a, b in zip(x, y)) / sum(a * a for a in x)
    y = [b - along * a for a, b in zip(x, y)]
    size = math.sqrt(sum(a * a for a in x) / sum(b * b for b in y))
    side = [size * b for b in y]
    turn = lambda angle, norm: [norm * (math.cos(angle) * a + math.sin(angle) * b) for a, b in zip(x, side)]
    return [
        x,
        turn(0.3, 1),
        turn(1.9, 1.5),
        turn(1e-7, 0.75),
        turn(3.0, 1),
        turn(1e-9, 1),
        # the points below at shallow depths only
        turn(1.9, 1),
        turn(1e-7, 1),
        turn(0.7, 1.5),
        turn(1e-5, 1 + 1e-6),
        turn(3.0, 0.03125),
        list(x),
        [2 * a for a in x],
        [-a for a in x],
        [-0.5 * a for a in x],
    ]


DEEP_POINTS = 6
SHALLOW = (1, 2, 3, 10, 100)
ROOT2 = math.sqrt(2)


def critical_erf_weight(bias_std):
    """The weight std at which sigma_w^2 E[phi'^2] = 1 at the fixed point of the variance."""
    low, high = mpfr(0.5), mpfr(3)
    for _ in range(120):
        middle = (low + high) / 2
        q = mpfr(1)
        for _ in range(200):  # Newton for q = sigma_w^2 (2/pi) asin(2q/(1 + 2q)) + sigma_b^2
            value, slope = Erf().self_image(q)
            derivative = middle**2 * 4 / gmpy2.const_pi() / ((1 + 2 * q) * sqrt(1 + 4 * q))
            step = (middle**2 * value + mpfr(bias_std) ** 2 - q) / (1 - derivative)
            q += step
            if abs(step) < mpfr(10) ** -60:
                break
        low, high = (middle, high) if middle**2 * slope < 1 else (low, middle)
    return float(low)


def case(regime, name, weight_std, bias_std=0.0, trained=True, deepest=100000, digits=80):
    return dict(regime=regime, activation=name, weight_std=weight_std, bias_std=bias_std, trained=trained,
                deepest=deepest, digits=digits)  # fmt: skip


def cases():
    return [
        case("ordered", "relu", 1.0, 0.5, deepest=1000, digits=700),
        case("ordered, chi = 0.995", "relu", math.sqrt(1.99), 0.1, digits=700),
        case("ordered, fixed biases", "relu", 1.4, 0.3, False, deepest=10000, digits=300),
        case("critical without biases", "relu", ROOT2),
        case("critical with biases", "relu", ROOT2, 0.3),
        case("growing", "relu", 1.5, 0.3),
        case("decaying without biases", "relu", 1.1),
        case("critical without biases", "leaky_relu:0.1", 1.4),
        case("ordered", "leaky_relu:-0.4", 1.25, 0.3, False, deepest=1000, digits=200),
        case("critical without biases", "abs", 1.0),
        case("ordered", "abs", 0.98, 0.2, deepest=10000, digits=500),
        case("ordered", "erf", 0.9, 0.2, deepest=1000, digits=400),
        case("ordered, chi near 1", "erf", 0.93, 0.1, digits=700, deepest=1000),
        case("critical", "erf", critical_erf_weight(0.3), 0.3),
        case("critical at variance 0", "erf", math.sqrt(math.pi / 4)),
        case("decaying without biases", "erf", 0.8),
        case("chaotic", "erf", 1.5, 0.1, deepest=1000, digits=400),
        case("chaotic, fixed biases", "erf", 1.2, 0.02, False, deepest=1000, digits=400),
        case("chaotic without biases, chi near 1", "erf", 0.9, deepest=10000, digits=400),
    ]


def number(value):
    """The nearest double; 0 below the range of doubles and where the reference has lost its digits (an angle near 0 or pi has half)."""
    return float(value) if abs(value) > mpfr(2) ** max(-1022, 60 - gmpy2.get_context().precision // 2) else 0.0


def main():
    gmpy2.get_context().precision = 300
    everything, lines = cases(), []
    for c in everything:
        gmpy2.get_context().precision = int(c.pop("digits") * 3.33)
        deepest, result = c.pop("deepest"), {}
        for layer, pairs in normalised(c, points(), set(SHALLOW)).items():
            result[layer] = pairs
        deep = {10**k for k in range(3, 7) if 10**k <= deepest}
        if deep:
            result.update(normalised(c, points()[:DEEP_POINTS], deep))
        for layer, pairs in sorted(result.items()):
            lines.append(json.dumps({**c, "depth": layer, "pairs": [[number(v) for v in p] for p in pairs]}))
        print(c, file=sys.stderr, flush=True)
    print("{\n" + f'"points": {json.dumps(points())},\n"cases": [\n' + ",\n".join(lines) + "]\n}")


if __name__ == "__main__":
    main()
