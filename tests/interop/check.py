"""Files of the program as Python reads them, and files of Python as the program reads them.

    python check.py PROGRAM README FOLDER      exits with 77 without NumPy; what needs pandas or PyTorch is left out, with a line, without them
"""

import json
import os
import re
import subprocess
import sys

try:
    import numpy as np
except ImportError:
    print("skipped: no NumPy")
    sys.exit(77)

program, readme, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
os.chdir(folder)


def ntkcuda(*arguments):
    subprocess.run([program, *arguments, "--quiet", "--device", "cpu"], check=True)


def optional(name):
    try:
        return __import__(name)
    except ImportError:
        print(f"left out: no {name}")
        return None


def matrices():
    """Types and layouts of .npy and .npz, both ways."""
    x = np.random.default_rng(1).standard_normal((12, 3, 2))
    flat = x.reshape(12, 6)
    kernel = flat @ flat.T / 6 * 2  # L = 1: sigma_w^2 <x, x'> / d
    np.save("c.npy", x)
    np.save("fortran.npy", np.asfortranarray(x))
    np.save("big_endian.npy", x.astype(">f8"))
    np.savez("plain.npz", X=x, y=np.arange(12))
    np.savez_compressed("deflated.npz", X=x, y=np.arange(12))
    for source in ("c.npy", "fortran.npy", "big_endian.npy", "plain.npz", "deflated.npz"):
        ntkcuda("kernel", "--data", source, "--depth", "1", "--kernel", "ntk", "--out", "K.npy")
        got = np.load("K.npy")
        assert got.dtype == np.float64 and got.flags.c_contiguous and got.shape == (12, 12), source
        np.testing.assert_allclose(got, kernel, rtol=1e-13, err_msg=source)
    ntkcuda("kernel", "--data", "c.npy", "--depth", "1", "--kernel", "ntk", "--precision", "fp32", "--out", "K.npy")
    assert np.load("K.npy").dtype == np.float32
    record = json.load(open("K.run.json"))
    assert record["command"] == "kernel" and record["results"]["rows"] == 12


def tables():
    """pandas reads every table without arguments: one header, numbers as numbers."""
    pandas = optional("pandas")
    if not pandas:
        return
    data = ("--data", "digits", "--samples", "80")
    ntkcuda("predict", *data, "--depth", "2", "--out", "predict")
    table = pandas.read_csv("predict/predict.csv")
    assert len(table) == 16 and {"sample", "class", "predicted_class", "score_0"} <= set(table.columns)
    # The default parser of pandas may miss the last bit of a number; these are below 1.5.
    np.testing.assert_allclose(table.filter(like="score_").to_numpy(), np.load("predict/predictions.npy"), rtol=0, atol=1e-15)
    ntkcuda("compare", *data, "--depths", "2,3", "--widths", "8,16", "--seeds", "3", "--force", "--out", "compare")
    table = pandas.read_csv("compare/compare.csv")
    assert list(table["depth"]) == [2, 2, 3, 3] and table["train_error"].dtype == np.float64
    ntkcuda("depth", *data, "--depths", "2,10,100", "--force", "--out", "depth")
    assert list(pandas.read_csv("depth/depth.csv")["depth"]) == [2, 10, 100]
    ntkcuda("ensemble", "--data", "sphere:n=3,d=4,seed=1", "--width", "8", "--networks", "50", "--force", "--out", "ensemble")
    table = pandas.read_csv("ensemble/ensemble.csv")
    assert {"entry", "mean", "stderr", "exact", "z"} <= set(table.columns)


def pytorch():
    """The README's recipe, word for word: its kernel is that of autograd."""
    torch = optional("torch")
    if not torch:
        return
    recipe = re.search(r"```python\n(layers = .*?)```", open(readme).read(), re.S).group(1)
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3)).double()
    inputs = torch.randn(4, 5, dtype=torch.float64)
    exec(recipe, {"model": model, "inputs": inputs, "torch": torch, "numpy": np})
    ntkcuda("kernel", "--weights", "trained.npz", "--data", "x.npy", "--block", "full", "--out", "K.npy")
    rows = []
    for output in model(inputs).flatten():
        gradients = torch.autograd.grad(output, list(model.parameters()), retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in gradients]))
    jacobian = torch.stack(rows).numpy()
    np.testing.assert_allclose(np.load("K.npy"), jacobian @ jacobian.T, rtol=1e-12, atol=1e-13)


for check in (matrices, tables, pytorch):
    print(check.__doc__)
    check()
