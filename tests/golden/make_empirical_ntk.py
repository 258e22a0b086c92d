#!/usr/bin/env python3
"""Writes empirical_ntk.json: tangent kernels and Jacobians of small networks by PyTorch's autograd in float64.

Run it with any Python that has torch and numpy. Parameters are omega and beta (ntk) or W and b (standard); the rows of every matrix are
sample * outputs + output. Networks of one depth share their parameters; kernels are the lower triangle, row by row.
"""

import itertools
import json
import pathlib

import numpy as np
import torch

torch.set_default_dtype(torch.float64)

WIDTHS = {1: [3, 3], 2: [3, 5, 3], 3: [3, 4, 2, 3], 4: [3, 6, 4, 5, 3], 5: [3, 4, 6, 3, 5, 3]}
ACTIVATIONS = {"relu": torch.relu, "leaky_relu:0.2": lambda z: torch.nn.functional.leaky_relu(z, 0.2), "abs": torch.abs, "erf": torch.erf}
WEIGHT_STD, BIAS_STD = 1.3, 0.4


def network(parameters, x, widths, activation, parametrization, biases):
    """f(x) of one sample from the flat list omega1, beta1, omega2, ..."""
    a = x
    for l in range(1, len(widths)):
        weight, bias = parameters[2 * l - 2], parameters[2 * l - 1]
        scaled = parametrization == "ntk"
        z = (WEIGHT_STD / np.sqrt(widths[l - 1]) if scaled else 1.0) * (weight @ a)
        if biases != "none":
            z = z + (BIAS_STD if scaled else 1.0) * bias
        a = ACTIVATIONS[activation](z) if l < len(widths) - 1 else z
    return a


def jacobian(parameters, x, widths, activation, parametrization, biases):
    """(samples * outputs) x parameters; columns W1 (row-major), b1, W2, ...; biases only when trained."""
    rows = []
    for sample in x:
        parts = torch.autograd.functional.jacobian(lambda *p: network(p, sample, widths, activation, parametrization, biases), tuple(parameters))
        kept = [j.reshape(widths[-1], -1) for k, j in enumerate(parts) if k % 2 == 0 or biases == "trained"]
        rows.append(torch.cat(kept, dim=1))
    return torch.cat(rows)


def main():
    generator = np.random.default_rng(7)
    # A zero sample puts every preactivation of a network without biases on the kink: phi'(0) is tested too.
    x = torch.tensor(np.vstack([generator.standard_normal((3, 3)) * [[1.0], [2.5], [0.3]], np.zeros((1, 3))]))
    nets, cases = {}, []
    for depth, widths in WIDTHS.items():
        nets[depth] = [torch.tensor(generator.standard_normal(s)) for l in range(1, depth + 1) for s in ((widths[l], widths[l - 1]), (widths[l],))]
    for depth, activation, parametrization, biases in itertools.product(WIDTHS, ACTIVATIONS, ("ntk", "standard"), ("none", "fixed", "trained")):
        if depth == 1 and activation != "relu":
            continue  # a linear model has no activation
        args = (nets[depth], x, WIDTHS[depth], activation, parametrization, biases)
        j = jacobian(*args)
        theta = (j @ j.T).numpy()
        case = {"depth": depth, "activation": activation, "parametrization": parametrization, "biases": biases,
                "output": torch.stack([network(nets[depth], s, *args[2:]) for s in x]).flatten().tolist(),
                "kernel": theta[np.tril_indices(len(theta))].tolist()}
        if depth == 3 and activation == "erf":
            case["jacobian"] = j[:6].flatten().tolist()  # of the first two samples
        cases.append(case)
    document = {
        "torch": torch.__version__, "weight_std": WEIGHT_STD, "bias_std": BIAS_STD, "x": x.tolist(),
        "networks": {str(depth): {"widths": WIDTHS[depth], "weights": [p.tolist() for p in net[0::2]], "biases": [p.tolist() for p in net[1::2]]}
                     for depth, net in nets.items()}}
    lines = json.dumps(document)[:-1] + ', "cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n"
    (pathlib.Path(__file__).parent / "empirical_ntk.json").write_text(lines)


if __name__ == "__main__":
    main()
