#!/usr/bin/env python3
"""Writes dual_activation.json: normalised dual activations and their slopes in multi-precision arithmetic, down to angles of 1e-15 to 0 and pi.

Usage: python3 make_dual_activation.py > dual_activation.json          (needs mpmath; a second)

The formulas of make_sphere_recursion.py: acos and asin of a cosine at 120 digits. Values are text with 25 digits.
"""
import json
import math

from mpmath import mp, mpf, nstr

from make_sphere_recursion import activation

TANGENTS = [0.0, 5e-16, 1e-7, 1e-3, 0.24, 0.26, math.tan(math.pi / 6), 1.0, 1.3, 7.0, 1e4, 1e9]  # of half the angle; the series ends near 0.25
DUALS = [("relu", 1.0), ("leaky_relu:0.1", 1.0), ("leaky_relu:-2.5", 1.0), ("abs", 1.0), ("erf", 1e-6), ("erf", 0.3), ("erf", 40.0),
         ("hermite:0.25,0.5,0.25", 1.0), ("hermite:0,0,1,0,0.5,0.75", 1.0)]  # fmt: skip


def main():
    mp.dps = 120
    entries = []
    for name, q in DUALS:
        phi, q = activation(name), mpf(q)
        value_at_one, slope_at_one = phi.moments(q, q)
        for tangent in TANGENTS:
            t2 = mpf(tangent) ** 2
            value, slope = phi.moments(q, q * (1 - t2) / (1 + t2))
            value, slope = value / value_at_one, slope / slope_at_one
            entries.append({"activation": name, "variance": float(q), "half_angle_tangent": tangent,
                            "values": [nstr(v if abs(v) > mpf(10) ** -80 else mpf(0), 25) for v in (value, 1 - value, 1 + value, slope, 1 - slope)]})  # fmt: skip
    print('{"entries": [\n' + ",\n".join(json.dumps(e) for e in entries) + "\n]}")


if __name__ == "__main__":
    main()
