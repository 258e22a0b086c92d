#!/usr/bin/env python3
"""Writes verify.json: the numbers that `ntkcuda verify` takes for true (host/verify_constants.cpp), in multi-precision arithmetic.

Usage: python3 make_verify.py > verify.json          (needs mpmath; some minutes)

The textbook recursions on covariances, with acos and asin: with enough digits nothing cancels. Inputs and parameters are the exact doubles
that are printed. Second moments: the recursion of exact_moments.hpp in rational numbers.
"""
import json
import math
from fractions import Fraction

from mpmath import acos, asin, lu_solve, log10, matrix, mp, mpf, nstr, pi, sin, sqrt


def duals(activation, qx, qy, p):
    """E[phi phi] and E[phi' phi'] at variances qx, qy and covariance p."""
    if activation == "erf":
        root = (1 + 2 * qx) * (1 + 2 * qy)
        return 2 / pi * asin(2 * p / sqrt(root)), 4 / pi / sqrt(root - 4 * p**2)
    a = {"relu": mpf(0), "abs": mpf(-1)}.get(activation)
    if a is None:
        a = mpf(float(activation.split(":")[1]))
    g = sqrt(qx * qy)
    t = acos(max(mpf(-1), min(mpf(1), p / g)))
    relu, step = (g * sin(t) + (pi - t) * p) / (2 * pi), (pi - t) / (2 * pi)
    # phi(z) = a z + (1 - a) relu(z); E[z relu(z')] = p / 2
    return a**2 * p + a * (1 - a) * p + (1 - a) ** 2 * relu, a**2 + a * (1 - a) + (1 - a) ** 2 * step


def mean_products(x, y):
    dot = lambda u, v: sum(mpf(a) * mpf(b) for a, b in zip(u, v)) / len(x)
    return [dot(x, x), dot(y, y), dot(x, y)]


def kernels(activation, weight_std, bias_std, products, depths, standard_widths=None):
    """{depth: (q, Theta)}, each of x with itself, y with itself, x with y. Trained biases."""
    w, b = mpf(weight_std) ** 2, mpf(bias_std) ** 2
    result, values, slopes, theta = {}, products, [mpf(0)] * 3, [mpf(0)] * 3
    for layer in range(1, max(depths) + 1):
        gain, gradient = (standard_widths[layer - 1], mpf(1 if bias_std else 0)) if standard_widths else (w, b)
        theta = [gain * e + gradient + w * s * t for e, s, t in zip(values, slopes, theta)]
        q = [w * e + b for e in values]
        if layer in depths:
            result[layer] = (q, theta)
        both = [duals(activation, q[0], q[0], q[0]), duals(activation, q[1], q[1], q[1]), duals(activation, *q)]
        values, slopes = [v for v, _ in both], [s for _, s in both]
    return result


def limits():
    mp.dps = 60
    x = [-0.9895229339599609, -0.5992491841316223]
    y = [-0.17877478897571564, 2.253682851791382]
    near = [x[0] + 1e-7 * x[1], x[1] - 1e-7 * x[0]]
    inputs, width, cases = [x, y, near], 20, []
    for activation, weight_std, bias_std, depth, kernel, parametrization in [
        ("relu", math.sqrt(2), 0.0, 4, "ntk", "ntk"),
        ("relu", math.sqrt(2), 0.0, 4, "nngp", "ntk"),
        ("relu", 1.25, 0.5, 3, "ntk", "ntk"),
        ("relu", 1.25, 0.5, 20, "ntk", "ntk"),
        ("relu", 1.25, 0.5, 3, "ntk", "standard"),
        ("leaky_relu:0.125", 1.25, 0.5, 3, "ntk", "ntk"),
        ("abs", 1.0, 0.0, 3, "ntk", "ntk"),
        ("erf", 1.5, 0.25, 3, "ntk", "ntk"),
        ("erf", 1.5, 0.25, 3, "nngp", "ntk"),
    ]:
        widths = [len(x)] + [width] * (depth - 1) if parametrization == "standard" else None
        lower = []
        for i in range(len(inputs)):
            for j in range(i + 1):
                q, theta = kernels(activation, weight_std, bias_std, mean_products(inputs[i], inputs[j]), [depth], widths)[depth]
                lower.append(nstr((theta if kernel == "ntk" else q)[2], 21))
        cases.append(dict(activation=activation, weight_std=weight_std, bias_std=bias_std, depth=depth, kernel=kernel,
                          parametrization=parametrization, lower=lower))  # fmt: skip
    return dict(inputs=inputs, width=width, cases=cases)


def pairs():
    """The normalised NTK K of a pair at 60 degrees, and 1 - K."""
    inputs = [[1.0, 0.0], [0.5, math.sqrt(3) / 2]]
    cases = []
    for activation, weight_std, bias_std, depths, dps in [
        ("relu", math.sqrt(2), 0.0, [10, 100, 1000, 10000, 100000], 50),
        ("relu", 1.0, 0.5, [10, 500], 400),
        ("erf", 1.5, 0.25, [10, 30], 60),
    ]:
        mp.dps = dps
        for depth, (_, theta) in kernels(activation, weight_std, bias_std, mean_products(*inputs), depths).items():
            k = theta[2] / sqrt(theta[0] * theta[1])
            cases.append(dict(activation=activation, weight_std=weight_std, bias_std=bias_std, depth=depth, kernel=nstr(k, 21),
                              below_one=nstr(1 - k, 21)))  # fmt: skip
    return dict(inputs=inputs, cases=cases)


def closed_forms():
    """u(x) = k(x) K^{-1} and log10 max(1 - K) of the normalised NTK where the kernel tends to ones."""
    mp.dps = 1150
    train = [[0.5, 1.5, -0.25], [-1.25, 0.75, 0.5], [1.0, -0.5, 1.25], [0.25, -1.0, -1.5]]
    test = [[1.0, 1.0, 0.5], [-0.5, 0.25, 1.5]]
    on_sphere = lambda rows: [[v * math.sqrt(3 / sum(u * u for u in row)) for v in row] for row in rows]
    depths, weight_std, bias_std, studies = [3, 500, 3000], 1.0, 0.5, []
    for equal_norms in [True, False]:
        a, b = (on_sphere(train), on_sphere(test)) if equal_norms else (train, test)

        def normalised(x, y):
            products = mean_products(x, y)
            if equal_norms:  # 1 but for rounding
                products = [mpf(1), mpf(1), products[2] / sqrt(products[0] * products[1])]
            found = kernels("relu", weight_std, bias_std, products, depths)
            return {depth: t[2] / sqrt(t[0] * t[1]) for depth, (_, t) in found.items()}

        n = len(a)
        kk = {(i, j): normalised(a[i], a[j]) for i in range(n) for j in range(i)}
        cross = [[normalised(z, x) for x in a] for z in b]
        points = []
        for depth in depths:
            k = matrix(n, n)
            for i in range(n):
                k[i, i] = 1
                for j in range(i):
                    k[i, j] = k[j, i] = kk[i, j][depth]
            u = [lu_solve(k, matrix([entry[depth] for entry in row])) for row in cross]
            points.append(dict(depth=depth, log10_max_one_minus_k=nstr(log10(max(1 - v[depth] for v in kk.values())), 21),
                               u=[[nstr(v, 21) for v in row] for row in u]))  # fmt: skip
        studies.append(dict(equal_norms=equal_norms, train=a, test=b, points=points))
    return dict(weight_std=weight_std, bias_std=bias_std, studies=studies)


def moments():
    """E Theta_oo^2 / (E Theta_oo)^2 over hidden widths."""
    cases = []
    for hidden in [[10, 10], [8] * 5, [40, 25, 60]]:
        a = b = e = Fraction(1)
        c = f = Fraction(0)
        for width in hidden:
            n = Fraction(width)
            a, b, c, e, f = (
                a * (1 + 5 / n),
                a * (1 + 5 / n) + b * (1 + 1 / n) + 4 * c / n,
                2 * b / n + c * (1 + 3 / n),
                a * (1 + 5 / n) + 2 * (b * (1 + 1 / n) + 4 * c / n) + e * (1 + 1 / n) + 4 * f / n,
                2 * e / n + f * (1 + 3 / n),
            )
        ratio = (e + 2 * f) / (len(hidden) + 1) ** 2
        mp.dps = 60
        cases.append(dict(hidden=hidden, ratio=nstr(mpf(ratio.numerator) / ratio.denominator, 21)))
    return cases


print(json.dumps(dict(limits=limits(), pairs=pairs(), closed_forms=closed_forms(), moments=moments()), indent=1))
