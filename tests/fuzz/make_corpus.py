"""Makes the seeds in tests/fuzz/corpus with NumPy: python make_corpus.py

Files named crash-* were found by fuzzing and are kept as they are.
"""
import gzip
import io
import json
import pathlib
import struct
import zipfile

import numpy as np

corpus = pathlib.Path(__file__).parent / "corpus"
count = np.arange(12).reshape(3, 4)


def put(reader, name, content):
    folder = corpus / reader
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def npy(array, **kwargs):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **kwargs)
    return stream.getvalue()


def npz(arrays, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(name + ".npy"), npy(array), compression)
    return stream.getvalue()


def idx(array, kind):
    array = np.asarray(array)
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


put("csv", "numbers", "1,2,3\n4,5,6\n")
put("csv", "header", "a,b,label\r\n1,2.5,x\r\n-3e-2,4,y\r\n")
put("csv", "quoted", '"a ""b""",c,label\n1,"2",z\n\n')
put("csv", "names", "0,1,label\n1,2,3\n4,5,6\n")
put("csv", "labels", "label\n0\n1\n1\n")
put("csv", "bom", "\ufeff1, 2 ,cat\n3,4,dog\n")
put("csv", "extremes", "5e-324,1.7976931348623157e308,0\n-0,+1,1\n")

for dtype in ("<f8", ">f4", "<f2", "<i8", ">u2", "|b1", "<c16", "<U3"):
    put("npy", np.dtype(dtype).name + dtype[0].translate(str.maketrans("<>|", "lbn")), npy(count.astype(dtype)))
put("npy", "fortran", npy(np.asfortranarray(count.reshape(3, 2, 2).astype(float))))
put("npy", "version3", npy(count.astype(float), version=(3, 0)))
put("npy", "vector", npy(np.arange(3)))
put("npy", "scalar", npy(1.0))
put("npy", "promise", npy(count.astype(float)).replace(b"(3, 4)", b"(3, 4000000000000000000)"))

put("npz", "x_and_y", npz({"X": count.astype(float), "y": np.arange(3)}))
put("npz", "deflated", npz({"anything": count}, zipfile.ZIP_DEFLATED))
put("npz", "bomb", npz({"X": np.zeros((1000, 100))}, zipfile.ZIP_DEFLATED))
put("npz", "truncated", npz({"X": count.astype(float)})[:-30])

put("weights", "biases", npz({"W1": count.astype(float), "b1": np.ones(3), "W2": np.ones((1, 3)), "b2": np.ones(1)}))
put("weights", "plain", npz({"W1": count.astype("f4"), "W2": np.ones((2, 3), "f4")}, zipfile.ZIP_DEFLATED))
put("weights", "transposed", npz({"W1": np.ones((4, 3)), "W2": np.ones((3, 1))}))
put("weights", "surplus", npz({"W1": np.ones((1, 2)), "W3": np.ones((1, 1))}))



def fit(arrays, **changes):
    """What predict --save-fit writes (host/cli/fit_file.hpp): three samples of two features, a relu network of depth 2."""
    network = {"inputs": 2, "hidden": [3], "outputs": 1, "activation": "relu", "w-std": 1.5, "b-std": 0.0, "biases": "none", "param": "ntk"}
    description = {
        "format": "ntkcuda fit", "version": 1, "program": "0.1.0", "data": "x.csv", "kernel": "ntk", "block": "trace", "method": "layerwise",
        "precision": "fp64", "network": network, "normalize": "none", "classes": [], "targets": 1, "initial-function": False,
        "solver": {"ridge": 0.1}, "condition": 10.0, "condition_is_estimate": True, "log_determinant": None,
    } | changes
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    return npz({"fit": text, "X": np.ones((3, 2)), "coefficients": np.ones((3, 1))} | arrays)


network = {"W1": np.ones((3, 2)), "W2": np.ones((1, 3))}
put("fit", "limit", fit({"factor": np.eye(3)}))
put("fit", "network", fit(network, kernel="empirical-ntk", **{"initial-function": True}))
put("fit", "standardized", fit({"columns": np.ones((4, 2))}, normalize="standardize"))
put("fit", "classes", fit({"coefficients": np.ones((3, 2))}, classes=["cat", "dog"], targets=2))
put("fit", "no_network", fit({}, kernel="empirical-nngp"))
put("fit", "later", fit({}, version=2))
wide = {"inputs": 2, "hidden": [2**62, 2**62], "outputs": 2**62, "activation": "relu", "w-std": 1, "b-std": 0, "biases": "none", "param": "ntk"}
put("fit", "wide", fit({}, kernel="empirical-ntk", network=wide))
put("fit", "wide_output", fit({}, kernel="empirical-ntk", network=wide, block="full", targets=2**62))
put("fit", "truncated", fit({})[:-40])

rate = {"per_second": 1e11, "half_at": 1e7}
rates = {"device": "a CPU", "kind": "cpu", "source": "measured", "memory": 8e9, "fp64": {"gemm": rate}, "fp32": {}}
put("rates", "plain", json.dumps(rates))
put("rates", "negative", json.dumps(rates | {"memory": -1}))
put("rates", "unknown", json.dumps(rates | {"fp64": {"gemm": rate | {"surplus": 1}}}))
put("rates", "infinite", json.dumps(rates).replace("100000000000.0", "1e999"))
put("rates", "nested", "[" * 300)

images = np.arange(24, dtype=">u1").reshape(3, 2, 4)
put("idx", "images", idx(images, 0x08))
put("idx", "labels", idx(np.arange(3, dtype=">u1"), 0x08))
put("idx", "float64", idx(count.astype(">f8"), 0x0E))
put("idx", "gzipped", gzip.compress(idx(images, 0x08), mtime=0))
put("idx", "two_members", gzip.compress(idx(images, 0x08)[:20], mtime=0) + gzip.compress(idx(images, 0x08)[20:], mtime=0))
put("idx", "promise", bytes([0, 0, 0x0E, 3]) + b"\xff" * 12)

put("config", "toml", 'depth = 4\nwidth = 64\n# a comment\nactivation = "leaky_relu:0.1"\nwidths = [64, 256]\njson = true\n')
put("config", "section", "[kernel]\ndepth = 4\n")
put("config", "run", json.dumps({"command": "kernel", "parameters": {"depth": 3, "memory": None, "hidden": [4, 5], "json": False}}))
put("config", "nested", json.dumps({"parameters": {"depth": {"a": 1}}}))
put("config", "list", "[" * 300)

for name, text in {
    "sphere": "sphere:n=20,d=3,seed=1",
    "gaussian": "gaussian:n=5,d=2,seed=18446744073709551615",
    "too_many": "gaussian:n=4000000000000,d=4000000,seed=1",
    "leaky": "leaky_relu:0.1",
    "hermite": "hermite:0,1,0.5,1e-3",
    "depths": "1,2,5,..,1e6",
    "range": "1:1e6:log:7",
}.items():
    put("text", name, text)
