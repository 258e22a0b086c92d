"""The same kernel of the same network by other tools, float64, on the CPU.

    python empirical_ntk.py TOOL FOLDER [--threads 2] [--repeats 5]

TOOL  torch-jacrev        torch.func: vmap(jacrev), then J J^T
      torch-structured    hand-written PyTorch: two Gram matrices a layer, eager
      torch-compiled      the same under torch.compile
      jax-structured      the same in jitted JAX
      nt-structured       neural-tangents, structured derivatives (implementation 3)
      nt-ntvp             neural-tangents, NTK-vector products (implementation 2)
      nt-jacobian         neural-tangents, Jacobian contraction (implementation 1)
      nt-analytic         neural-tangents, the infinite-width kernel
FOLDER holds x.npy and weights.npz (inputs.py). The first call, which compiles, is not counted. One line of JSON on stdout: the median
and all seconds; the kernel goes to FOLDER/TOOL.npy for the comparison of results.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("tool")
parser.add_argument("folder")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeats", type=int, default=5)
a = parser.parse_args()

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(a.threads)
# XLA sizes its pool by the processors that it may run on.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: a.threads])
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"

import numpy as np

x = np.load(os.path.join(a.folder, "x.npy"))
stored = np.load(os.path.join(a.folder, "weights.npz"))
omega = [stored[f"W{l}"] for l in range(1, len(stored.files) + 1)]  # out x in
scale = [math.sqrt(2 / w.shape[1]) for w in omega]  # sigma_w / sqrt(n_{l-1}), sigma_w^2 = 2


def structured(x, omega, relu, slope):
    """Theta = sum_l s_l <a^{l-1}, a^{l-1}'> <delta^l, delta^l'>, delta^L = 1."""
    post, pre = [x], []
    for s, w in zip(scale[:-1], omega[:-1]):
        pre.append(s * (post[-1] @ w.T))
        post.append(relu(pre[-1]))
    theta = scale[-1] ** 2 * (post[-1] @ post[-1].T)
    delta = scale[-1] * omega[-1] * slope(pre[-1])
    for l in reversed(range(len(omega) - 1)):
        theta = theta + (scale[l] ** 2 * (post[l] @ post[l].T)) * (delta @ delta.T)
        if l > 0:
            delta = scale[l] * (delta @ omega[l]) * slope(pre[l - 1])
    return theta


def torch_tool():
    import torch

    torch.set_num_threads(a.threads)
    torch.set_default_dtype(torch.float64)
    data, weights = torch.from_numpy(x), [torch.from_numpy(w) for w in omega]
    if a.tool == "torch-jacrev":
        from torch.func import jacrev, vmap

        def f(weights, sample):
            for s, w in zip(scale[:-1], weights[:-1]):
                sample = torch.relu(s * (w @ sample))
            return (scale[-1] * (weights[-1] @ sample))[0]

        jacobian = vmap(jacrev(f), (None, 0))

        def kernel(x):
            return sum(j.flatten(1) @ j.flatten(1).T for j in jacobian(weights, x))

    else:

        def kernel(x):
            return structured(x, weights, torch.relu, lambda z: (z > 0).to(z.dtype))

        if a.tool == "torch-compiled":
            kernel = torch.compile(kernel)

    def run():
        with torch.no_grad():
            return kernel(data).numpy()

    return run


def jax_tool():
    import jax
    import jax.numpy as jnp

    data, weights = jnp.asarray(x), [jnp.asarray(w) for w in omega]
    if a.tool == "jax-structured":
        kernel = jax.jit(lambda x, w: structured(x, w, lambda z: jnp.maximum(z, 0), lambda z: (z > 0).astype(z.dtype)))
        return lambda: np.asarray(kernel(data, weights).block_until_ready())

    import neural_tangents as nt
    from neural_tangents import stax

    def dense(width):
        return stax.Dense(width, W_std=math.sqrt(2), b_std=None, parameterization="ntk")

    layers = []
    for w in omega[:-1]:
        layers += [dense(w.shape[0]), stax.Relu()]
    init, apply, analytic = stax.serial(*layers, dense(1))
    if a.tool == "nt-analytic":
        kernel = jax.jit(lambda x: analytic(x, None, "ntk"))
        return lambda: np.asarray(kernel(data).block_until_ready())
    _, parameters = init(jax.random.PRNGKey(0), data.shape)
    leaves, tree = jax.tree_util.tree_flatten(parameters)
    assert [p.shape for p in leaves] == [w.T.shape for w in weights]
    parameters = jax.tree_util.tree_unflatten(tree, [w.T for w in weights])
    implementation = {"nt-jacobian": 1, "nt-ntvp": 2, "nt-structured": 3}[a.tool]
    kernel = jax.jit(nt.empirical_ntk_fn(apply, trace_axes=(-1,), vmap_axes=0, implementation=implementation))
    return lambda: np.asarray(kernel(data, None, parameters).block_until_ready())


run = torch_tool() if a.tool.startswith("torch") else jax_tool()
np.save(os.path.join(a.folder, a.tool + ".npy"), run())
seconds = []
for _ in range(a.repeats):
    start = time.perf_counter()
    run()
    seconds.append(time.perf_counter() - start)
json.dump({"tool": a.tool, "median": statistics.median(seconds), "seconds": seconds}, sys.stdout)
print()
