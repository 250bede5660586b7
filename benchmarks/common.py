"""What every benchmark shares: rows, the CSV they go to, and timing in a process of its own."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

RESULTS = Path("results/benchmarks")
COLUMNS = ["metric", "value", "reference", "ratio", "target", "better"]


def row(metric: str, value: float, reference: float, ratio: float, better: str, target: float | None = None) -> dict:
    """One comparison.

    Args:
        metric: What is compared, with its unit.
        value: Ours.
        reference: The alternative's.
        ratio: Value against reference, the way the target is stated.
        better: "higher" or "lower", of the ratio.
        target: What the ratio should reach; None where there is none.
    """
    return dict(zip(COLUMNS, (metric, value, reference, ratio, target, better), strict=True))


def misses(table: pd.DataFrame) -> pd.Series:
    """Rows that are short of their target."""
    short = (table["ratio"] < table["target"]).where(table["better"] == "higher", table["ratio"] > table["target"])
    return short & table["target"].notna()


def write(name: str, rows: list[dict]) -> pd.DataFrame:
    """Write a benchmark's rows to its CSV."""
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"target": float})
    RESULTS.mkdir(parents=True, exist_ok=True)
    table.to_csv(RESULTS / f"{name}.csv", index=False)
    return table


def best_time(function: Callable[[], object], repeats: int) -> float:
    """Shortest of several runs in seconds, after one that warms up."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def in_process(function: Callable, *arguments):
    """Call a function in a fresh process, so that its peak memory is its own.

    Returns:
        Its result, and by how many bytes it raised the process's peak memory.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # which may start processes of its own
        return pool.submit(_with_peak, function, *arguments).result()


def _with_peak(function: Callable, *arguments):
    before = peak_bytes()
    result = function(*arguments)
    return result, peak_bytes() - before


def peak_bytes() -> int:
    """Peak resident memory of this process so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
