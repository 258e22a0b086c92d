"""Makes tests/golden/arrays with NumPy: python make_arrays.py

Arrays of 3 x 4 hold 4 i + j (minus 5 when signed, times 1/2 when floating), so that the tests know every value.
"""
import pathlib
import warnings

import numpy as np

here = pathlib.Path(__file__).parent / "arrays"
here.mkdir(exist_ok=True)
count = np.arange(12).reshape(3, 4)


def values(dtype):
    kind = np.dtype(dtype).kind
    shifted = count if kind in "ub" else count - 5
    return (shifted / 2 if kind == "f" else shifted % 2 if kind == "b" else shifted).astype(dtype)


def stored(dtype, order):
    return np.asarray(values(dtype), order=order)


dtypes = [o + t for o in "<>" for t in ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")] + ["i1", "u1", "?"]
everything = {f"{np.dtype(t).str}_{order}": stored(t, order) for t in dtypes for order in "CF"}
np.savez(here / "dtypes.npz", **everything)
np.savez_compressed(here / "dtypes_deflated.npz", **everything)

np.save(here / "float64.npy", values("<f8"))
np.save(here / "float32.npy", values("<f4"))
np.save(here / "fortran_4d.npy", np.asfortranarray(np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)))
np.save(here / "scalar.npy", np.float64(2.5))
np.save(here / "no_samples.npy", np.zeros((0, 3)))
np.save(here / "half.npy", np.array([0.0, -0.0, 2.0**-24, 1023 * 2.0**-24, 2.0**-14, 0.1, -1.5, 65504, np.inf, -np.inf, np.nan], "<f2"))
for version in (2, 3):
    with open(here / f"version{version}.npy", "wb") as f:
        np.lib.format.write_array(f, values("<f8"), version=(version, 0))

refused = {
    "complex": np.ones((2, 2), complex),
    "text": np.array([["a", "b"]]),
    "bytes": np.array([[b"a", b"b"]]),
    "object": np.array([[1, "a"]], object),
    "structured": np.zeros(2, [("x", "<f8"), ("y", "<i4")]),
    "date": np.array([["2000-01-01"]], "datetime64[D]"),
    "longdouble": np.zeros((2, 2), np.longdouble),
    "beyond_2_53": np.array([[1, 2**53], [-(2**53), 2**53 + 1]], "<i8"),
}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for name, array in refused.items():
        np.save(here / f"refused_{name}.npy", array)

np.savez(here / "weights.npz", W1=count / 4, W2=np.arange(6.0).reshape(2, 3), b1=np.array([1.0, 2, 3]), b2=np.array([4.0, 5]))
np.savez(here / "x_and_y.npz", X=values("<f8"), y=np.array([2, 7, 2]))
