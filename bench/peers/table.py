"""Medians, ratios to ntkcuda's warmed-up calls and differences of the results, from the lines that `run` collects.

    python table.py FOLDER/times.jsonl FOLDER
"""

import json
import os
import statistics
import sys

import numpy as np

rounds = {}
with open(sys.argv[1]) as lines:
    for line in lines:
        entry = json.loads(line)
        rounds.setdefault(entry["tool"], []).append(entry)

analytic = {tool for tool in rounds if "analytic" in tool}
medians = {tool: statistics.median(e["median"] for e in entries) for tool, entries in rounds.items() if "median" in entries[0]}
print(f"{'tool':18} {'median s':>10} {'of rounds':>20} {'/ warm':>10} {'difference':>11}")
for tool, entries in rounds.items():
    if tool not in medians:
        print(f"{tool:18} {entries[0]['failure']:>10}")
        continue
    spread = f"{min(e['median'] for e in entries):.4g} .. {max(e['median'] for e in entries):.4g}"
    base = "ntkcuda-analytic-warm" if tool in analytic else "ntkcuda-warm"
    kernel, reference = (np.load(os.path.join(sys.argv[2], name + ".npy")) for name in (tool, base))
    difference = np.linalg.norm(kernel - reference) / np.linalg.norm(reference)
    print(f"{tool:18} {medians[tool]:10.4g} {spread:>20} {medians[tool] / medians[base]:10.3g} {difference:11.1e}")
