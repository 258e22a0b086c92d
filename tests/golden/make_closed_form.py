"""Makes closed_form.json: the closed form of a 6 x 6 Hilbert-like kernel to 60 digits (mpmath).

The kernel 1/(i + j + 1), the cross kernel 1/(i + t + 1/2), the tests' diagonal and the targets are the float64 values, taken as exact.
    python make_closed_form.py > closed_form.json
"""

import json
import sys

from mpmath import mp, matrix, mpf, eye, expm, log, det, inverse, mnorm

mp.dps = 60
n, tests = 6, 2
K = [[1 / (i + j + 1) for j in range(n)] for i in range(n)]
cross = [[1 / (i + t + 0.5) for i in range(n)] for t in range(tests)]
diagonal = [[20 + 2.5 * t] for t in range(tests)]
y = [[1.0 + i, (-1.0) ** i] for i in range(n)]
time, ridge = 37.0, 0.015625


def exact(rows):
    return matrix([[mpf(v) for v in row] for row in rows])


def rounded(m):
    return [[float(m[i, j]) for j in range(m.cols)] for i in range(m.rows)]


def closed_form(A):
    C, Ainv = exact(cross), inverse(A)
    return {
        "solve": rounded(Ainv * exact(y)),
        "predict": rounded(C * Ainv * exact(y)),
        "variance": rounded(matrix([[mpf(diagonal[t][0]) - (C[t, :] * Ainv * C[t, :].T)[0]] for t in range(tests)])),
        "log_determinant": float(log(det(A))),
        "condition": float(mnorm(A, 1) * mnorm(Ainv, 1)),
    }


A = exact(K)
flow = exact(cross) * inverse(A) * (eye(n) - expm(-mpf(time) * A)) * exact(y)
json.dump(
    {
        "kernel": K, "cross": cross, "diagonal": diagonal, "y": y, "ridge": ridge, "time": time,
        "plain": closed_form(A), "ridged": closed_form(A + mpf(ridge) * eye(n)), "flow": rounded(flow),
        "eigenvalues": [float(v) for v in mp.eigsy(A, eigvals_only=True)],
    },
    sys.stdout, indent=1,
)
