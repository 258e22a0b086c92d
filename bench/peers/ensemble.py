"""Tangent kernels of random ReLU networks by other tools, float64, on the CPU: the same sampling as the weights sampler, batched.

    python ensemble.py TOOL [--width 20] [--samples 2] [--networks 40000] [--batch 0] [--threads 2] [--repeats 5]

TOOL  numpy     batched matmul and standard_normal, a generator and a share of the batches for each thread
      torch     batched matmul and randn, eager, likewise
      jax       the same jitted, a scan over batches, threefry
      jax-rbg   with the generator of the hardware

4 affine layers, 2 features, one output, weight variance 2, no bias. Every network draws its weights; the tangent kernel (two Gram matrices
a layer) and the NNGP are computed for it. Batch 0 tries several sizes and takes the fastest. The first call, which compiles, is not
counted. One line of JSON on stdout: microseconds a network (median), those of all processors together, and the mean of the first diagonal entry over its exact value.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("tool", choices=["numpy", "torch", "jax", "jax-rbg"])
parser.add_argument("--width", type=int, default=20)
parser.add_argument("--samples", type=int, default=2)
parser.add_argument("--networks", type=int, default=40000)
parser.add_argument("--batch", type=int, default=0)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeats", type=int, default=5)
a = parser.parse_args()

blas_threads = "1" if a.tool in ("numpy", "torch") else str(a.threads)
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = blas_threads
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: a.threads])
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"

import numpy as np

x = np.random.default_rng(1).standard_normal((a.samples, 2))
sizes = [2, a.width, a.width, a.width, 1]
scales = [math.sqrt(2 / k) for k in sizes[:-1]]


def kernels(weights, transpose, relu, slope):
    """Theta and NNGP (batch x n x n each) for weights[l] (batch x n_{l+1} x n_l), already scaled."""
    post, slopes = [x_tool], []
    for w in weights[:-1]:
        z = post[-1] @ transpose(w)
        post.append(relu(z))
        slopes.append(slope(z))
    grams = [p @ transpose(p) for p in post]
    nngp = scales[-1] ** 2 * grams[-1]
    theta = nngp
    delta = weights[-1] * slopes[-1]
    for l in reversed(range(len(weights) - 1)):
        theta = theta + scales[l] ** 2 * grams[l] * (delta @ transpose(delta))
        if l > 0:
            delta = (delta @ weights[l]) * slopes[l - 1]
    return theta, nngp


def in_threads(batch, results, one_batch):
    """A run of all networks: one_batch(thread, count) fills results[:, start : start + count]; these calls release the interpreter's lock."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(a.threads)
    per_thread = a.networks // a.threads

    def share(t):
        for start in range(t * per_thread, (t + 1) * per_thread, batch):
            count = min(batch, (t + 1) * per_thread - start)
            results[0, start : start + count], results[1, start : start + count] = one_batch(t, count)

    def run():
        list(pool.map(share, range(a.threads)))
        return np.asarray(results[0])

    return run


def numpy_tool(batch):
    global x_tool
    x_tool = x
    generators = [np.random.default_rng([1, t]) for t in range(a.threads)]

    def one_batch(t, count):
        weights = []
        for l, scale in enumerate(scales):
            weights.append(generators[t].standard_normal((count, sizes[l + 1], sizes[l])))
            weights[-1] *= scale
        return kernels(weights, lambda m: m.swapaxes(-1, -2), lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype))

    return in_threads(batch, np.empty((2, a.networks, a.samples, a.samples)), one_batch)


def torch_tool(batch):
    import torch

    global x_tool
    torch.set_num_threads(1)
    x_tool = torch.from_numpy(x)
    generators = [torch.Generator().manual_seed(t) for t in range(a.threads)]

    def one_batch(t, count):
        with torch.no_grad():
            weights = [
                torch.randn((count, sizes[l + 1], sizes[l]), dtype=torch.float64, generator=generators[t]).mul_(scale)
                for l, scale in enumerate(scales)
            ]
            return kernels(weights, lambda m: m.transpose(-1, -2), torch.relu, lambda z: (z > 0).to(z.dtype))

    return in_threads(batch, torch.empty((2, a.networks, a.samples, a.samples), dtype=torch.float64), one_batch)


def jax_tool(batch):
    import jax
    import jax.numpy as jnp

    global x_tool
    x_tool = jnp.asarray(x)

    def one_batch(key):
        keys = jax.random.split(key, len(scales))
        weights = [
            scale * jax.random.normal(keys[l], (batch, sizes[l + 1], sizes[l]), jnp.float64) for l, scale in enumerate(scales)
        ]
        return kernels(weights, lambda m: m.swapaxes(-1, -2), lambda z: jnp.maximum(z, 0), lambda z: (z > 0).astype(z.dtype))

    batches = -(-a.networks // batch)
    all_batches = jax.jit(lambda key: jax.lax.map(one_batch, jax.random.split(key, batches)))
    key = jax.random.key(1, impl="rbg" if a.tool == "jax-rbg" else "threefry2x32")

    def run():
        theta, nngp = all_batches(key)
        nngp.block_until_ready()
        return np.asarray(theta).reshape(-1, a.samples, a.samples)[: a.networks]

    return run


make = {"numpy": numpy_tool, "torch": torch_tool}.get(a.tool, jax_tool)


def seconds(run):
    start = time.perf_counter()
    theta = run()
    return time.perf_counter() - start, theta


best = None
for batch in [a.batch] if a.batch else [25, 100, 400, 1600, 6400]:
    if batch > a.networks:
        continue
    run = make(batch)
    run()
    elapsed, theta = seconds(run)
    if best is None or elapsed < best[0]:
        best = (elapsed, batch, run)
times, processor = [], []
for _ in range(a.repeats):
    start = time.process_time()
    elapsed, theta = seconds(best[2])
    processor.append((time.process_time() - start) / a.networks * 1e6)
    times.append(elapsed / a.networks * 1e6)
exact = len(scales) * 2 * float(x[0] @ x[0]) / 2
json.dump({"tool": a.tool, "us": statistics.median(times), "cpu": statistics.median(processor), "batch": best[1],
           "mean_over_exact": float(theta[:, 0, 0].mean()) / exact}, sys.stdout)  # fmt: skip
print()
