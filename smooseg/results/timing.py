"""Where the time of a run went, from the records that jobs leave (:func:`smooseg.running.jobs.record`)."""

from functools import cache
from pathlib import Path

import pandas as pd

TIME_COLUMNS = ["rule", "jobs", "seconds", "share", "memory_mb", "amount", "unit", "rate"]


def stage_times(results: Path, names: set[str], experiments: dict[str, dict]) -> pd.DataFrame:
    """Time, memory and rate of every rule, the longest first.

    Args:
        results: The run's folder, which holds ``benchmarks/rules/{rule}/**.tsv``.
        names: Data sets, backbones, experiments, tables and sweeps of the run; jobs of others are left out.
        experiments: Resolved experiments by name.

    Returns:
        Columns rule, jobs, seconds (sum over jobs), share (percent of all seconds), memory_mb (largest resident set),
        amount and unit (what the jobs worked through, where it can be counted), rate (units per second).
    """
    root, rows = results / "benchmarks" / "rules", []
    count = amounts(results, experiments)
    for path in sorted(root.rglob("*.tsv")):
        rule, *place = path.relative_to(root).with_suffix("").parts if path.parent != root else (path.stem,)
        if not place or place[0] in names:
            measured = pd.read_csv(path, sep="\t", na_values="-").iloc[0]
            amount, unit = count(rule, place)
            rows.append((rule, measured["s"], measured["max_rss"], amount, unit))
    table = pd.DataFrame(rows, columns=["rule", "seconds", "memory_mb", "amount", "unit"])
    table = table.groupby("rule").agg(
        jobs=("seconds", "size"),
        seconds=("seconds", "sum"),
        memory_mb=("memory_mb", "max"),
        amount=("amount", "sum"),
        unit=("unit", "first"),
    )
    table["share"] = 100 * table["seconds"] / table["seconds"].sum()
    table["rate"] = (table["amount"] / table["seconds"]).where(table["unit"] != "")
    return table.reset_index().sort_values("seconds", ascending=False)[TIME_COLUMNS]


def amounts(results: Path, experiments: dict[str, dict]):
    """A function from a rule and its wildcards to how much a job worked through, and the unit; (0, "") if unknown."""

    @cache
    def views(dataset: str, view: str) -> int:
        return len(pd.read_parquet(results / "manifests" / dataset / f"{view}.parquet", columns=["mirror"]))

    def count(rule: str, place: list[str]) -> tuple[float, str]:
        if rule in ("index_part", "extract_features"):
            return views(place[0], place[-2]) / int(place[-1].split("-of-")[1]), "views"
        if rule == "train_head":
            history = pd.read_parquet(results / "experiments" / place[0] / place[1] / "history.parquet")
            return history["step"].iloc[-1], "steps"
        if rule in ("predict_labels", "refine_crf", "score_labels", "score_point"):
            return views(experiments[place[0]]["dataset"], "eval") / 2, "images"  # half of the views are mirror images
        return 0, ""

    return count
