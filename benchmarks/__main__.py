"""Run benchmarks: all, or those named. Rows short of their target are printed last; the exit code is 0."""

import sys
from importlib import import_module

import pandas as pd

from benchmarks.common import misses, write

BENCHMARKS = ["smoothness", "training", "loop", "cache", "extraction", "start"]

if __name__ == "__main__":
    tables = []
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"running {name}", file=sys.stderr)
        tables.append(write(name, import_module(f"benchmarks.{name}").run()))
    table = pd.concat(tables, ignore_index=True)
    ordered = table.iloc[misses(table).argsort(kind="stable")]
    print(ordered.to_string(index=False, na_rep="", float_format="{:.4g}".format))
    short = int(misses(table).sum())
    print(f"{len(table) - short} rows at or without a target, {short} short of theirs")
