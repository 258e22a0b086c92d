#!/usr/bin/env python3
"""Writes sphere_recursion.json: kernels between samples of one norm at depths up to 1e5, in multi-precision arithmetic.

Usage: python3 make_sphere_recursion.py > sphere_recursion.json          (needs mpmath; about ten minutes on two cores)

Independent of the library: covariances by the textbook recursion, acos of a cosine and asin, the leaky rectifier written as
a z + (1 - a) relu(z); no differences, no normalisation. The digits are raised by what 1 - K and K lose. Parameters are the exact
doubles that are printed; the angle between the inputs is the one whose half has exactly the printed tangent, and |x|^2 = d.
Values are text with 25 digits, because they leave the range of doubles.

Sources: Cho & Saul 2009 (arc-cosine kernels), Williams 1997 (erf), Daniely et al. 2016 (Hermite), Jacot et al. 2018 (recursion).
"""
import json
import math
from multiprocessing import Pool

from mpmath import acos, asin, mp, mpf, nstr, pi, sqrt


class Rectifier:
    def __init__(self, slope):
        self.a = mpf(slope)

    def moments(self, q, p):
        cosine = max(mpf(-1), min(mpf(1), p / q))
        t, sine = acos(cosine), sqrt(1 - cosine**2)
        relu = q * (sine + (pi - t) * cosine) / (2 * pi)
        a = self.a
        return a**2 * p + a * (1 - a) * p + (1 - a) ** 2 * relu, a**2 + a * (1 - a) + (1 - a) ** 2 * (pi - t) / (2 * pi)


class Erf:
    def moments(self, q, p):
        return 2 / pi * asin(2 * p / (1 + 2 * q)), 4 / pi / sqrt((1 + 2 * q) ** 2 - 4 * p**2)


class Hermite:
    def __init__(self, squares):
        self.c = [mpf(float(c)) for c in squares.split(",")]

    def moments(self, q, p):
        r = p / q
        return q * sum(c * r**k for k, c in enumerate(self.c)), sum(k * c * r ** (k - 1) for k, c in enumerate(self.c) if k > 0)


def activation(name):
    if name in ("relu", "abs", "erf"):
        return {"relu": lambda: Rectifier(0), "abs": lambda: Rectifier(-1), "erf": Erf}[name]()
    kind, values = name.split(":")
    return Rectifier(float(values)) if kind == "leaky_relu" else Hermite(values)


def entry(case):
    """One pair: the depths asked for, each with rho, 1 - rho, K, 1 - K."""
    mp.dps = case["digits"]
    phi = activation(case["activation"])
    weight, bias = mpf(case["weight_std"]) ** 2, mpf(case["bias_std"]) ** 2
    trained = bias if case["trained"] else mpf(0)
    tangent = mpf(case["half_angle_tangent"])
    e = [mpf(1), (1 - tangent**2) / (1 + tangent**2)]  # of a sample with itself, of the pair
    slope, theta = [mpf(0)] * 2, [mpf(0)] * 2
    values = {}
    for layer in range(1, max(case["depths"]) + 1):
        theta = [weight * e[i] + trained + weight * slope[i] * theta[i] for i in range(2)]
        q = [weight * e[i] + bias for i in range(2)]
        if layer in case["depths"]:
            rho, k = q[1] / q[0], theta[1] / theta[0]
            values[str(layer)] = [nstr(v, 25) for v in (rho, 1 - rho, k, 1 - k)]
            for v in (rho, 1 - rho, k, 1 - k):  # 30 digits are left after the cancellation
                assert v == 0 or abs(v) > mpf(10) ** (30 - mp.dps), (case, layer)
        for i in range(2):
            e[i], slope[i] = phi.moments(q[0], q[i])
    return {**{k: v for k, v in case.items() if k not in ("depths", "digits")}, "values": values}


NEAR, ACUTE, BEYOND, OPPOSITE = (math.tan(math.acos(c) / 2) for c in (0.999999, 0.5, -0.3, -0.9999))
RIGHT, TINY = 1.0, 5e-7  # TINY: an angle of 1e-6
FEW, MANY = (1, 2, 3, 10, 100), (1, 2, 3, 10, 100, 1000)


def cases(name, weight_std, bias_std, tangents, depths, digits=60, trained=True):
    return [dict(activation=name, weight_std=weight_std, bias_std=bias_std, trained=trained, half_angle_tangent=t, depths=list(depths),
                 digits=digits) for t in tangents]  # fmt: skip


ROOT2 = math.sqrt(2)
ERF0 = math.sqrt(math.pi) / 2  # erf: sigma_w^2 E[phi'^2](0) = 1
CASES = (
    # Long runs first, for the pool.
    cases("relu", 1.41, 0.1, (BEYOND,), MANY + (10**4, 10**5), 700)
    + cases("relu", ROOT2, 0.0, (ACUTE, TINY), MANY + (10**4, 10**5), 80)
    + cases("relu", ROOT2, 0.5, (ACUTE,), MANY + (10**4, 10**5), 80)
    + cases("relu", 3.0, 0.5, (BEYOND,), MANY + (10**4, 10**5), 80)
    + cases("leaky_relu:0.1", 1.3, 0.0, (ACUTE,), MANY + (10**4, 10**5), 80)
    + cases("erf", ERF0, 0.0, (ACUTE, BEYOND), MANY + (10**4, 10**5), 80)
    + cases("erf", 1.0, 0.1, (ACUTE,), MANY + (10**4,), 1500)
    + cases("relu", 1.0, 0.5, (ACUTE, TINY), MANY, 800)
    # Critical.
    + cases("relu", ROOT2, 0.0, (NEAR, RIGHT, BEYOND, OPPOSITE), MANY + (10**4,), 80)
    + cases("relu", ROOT2, 0.5, (TINY, RIGHT, OPPOSITE), MANY, 80)
    + cases("relu", ROOT2, 0.5, (ACUTE,), MANY, 80, False)
    + cases("leaky_relu:0.1", 1.0, 0.0, (TINY, BEYOND), MANY, 80)
    + cases("abs", 1.0, 0.0, (NEAR, ACUTE, BEYOND, OPPOSITE), MANY + (10**4,), 80)
    + cases("hermite:0.25,0.5,0.25", 1.0, 0.0, (TINY, ACUTE, OPPOSITE), MANY + (10**4,), 80)
    # Growing and ordered.
    + cases("relu", 3.0, 0.5, (NEAR, OPPOSITE), MANY, 80)
    + cases("relu", 1.41, 0.1, (NEAR, RIGHT), MANY, 120)
    + cases("relu", 1.41, 0.1, (ACUTE,), MANY, 120, False)
    + cases("relu", 1.0, 0.5, (NEAR, BEYOND, OPPOSITE), FEW, 160)
    + cases("relu", 1.0, 0.5, (ACUTE,), FEW, 160, False)
    + cases("leaky_relu:0.1", 1.0, 0.3, (ACUTE, BEYOND), FEW, 160)
    + cases("abs", 0.8, 0.3, (ACUTE, BEYOND), FEW, 160)
    + cases("erf", 1.0, 0.5, (TINY, ACUTE, BEYOND), FEW, 200)
    + cases("erf", 1.0, 0.5, (ACUTE,), FEW, 200, False)
    + cases("hermite:0,0.5,0.25,0.125", 0.9, 0.4, (ACUTE, BEYOND), FEW, 200)
    + cases("hermite:0.4,0.4,0.2", 1.1, 0.0, (ACUTE,), FEW, 200)
    # Chaotic: K, and without biases rho, become small instead.
    + cases("erf", 2.0, 0.1, (TINY, ACUTE, BEYOND), MANY, 400)
    + cases("erf", 2.0, 0.1, (ACUTE,), MANY, 400, False)
    + cases("erf", 3.0, 0.0, (ACUTE, BEYOND), FEW, 200)
    + cases("hermite:0,0.2,0.5,0.3", 1.0, 0.0, (TINY, ACUTE), FEW, 200)
    + cases("hermite:0,0.5,0.25,0.125", 1.0, 0.0, (TINY, ACUTE, BEYOND), MANY, 600)
)  # fmt: skip


def main():
    with Pool(2) as pool:
        entries = pool.map(entry, CASES, chunksize=1)
    print('{"entries": [\n' + ",\n".join(json.dumps(e) for e in entries) + "\n]}")


if __name__ == "__main__":
    main()
