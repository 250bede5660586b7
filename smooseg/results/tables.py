"""Score tables: one row per experiment, seed and postprocessing, and their mean over seeds."""

import json
from pathlib import Path

import pandas as pd

SCORE_COLUMNS = [
    "experiment",
    "dataset",
    "backbone",
    "head",
    "seed",
    "split",
    "postprocess",
    "uses_labels",
    "merged_by_hand",
    "accuracy",
    "miou",
    "many_to_one_accuracy",
    "many_to_one_miou",
    "released_accuracy",
    "released_miou",
]
GROUP = ["experiment", "dataset", "backbone", "head", "split", "postprocess", "uses_labels", "merged_by_hand"]
SCORES = SCORE_COLUMNS[-6:]


def collect_scores(paths: list[str], experiments: dict, splits: dict, supervised: list[str]) -> list[dict]:
    """Read the scores of a run.

    Args:
        paths: Score files, ``.../{experiment}/{seed}/{postprocess}.json``.
        experiments: Resolved experiments by name.
        splits: Evaluated split by experiment.
        supervised: Experiments whose head was trained with labels.

    Returns:
        One record per file: what was run, and what :func:`smooseg.evaluation.scoring.score_labels` gave.
    """
    records = []
    for path in map(Path, paths):
        experiment, seed = path.parent.parent.name, int(path.parent.name)
        entry = experiments[experiment]
        records.append(
            {
                "experiment": experiment,
                **{key: entry[key] for key in ("dataset", "backbone", "head")},
                "seed": seed,
                "split": splits[experiment],
                "postprocess": path.stem,
                "uses_labels": experiment in supervised,
                "merged_by_hand": entry["names"] is not None,
                **json.loads(path.read_text("utf-8")),
            }
        )
    return records


def score_table(records: list[dict]) -> pd.DataFrame:
    """One row per experiment, seed and postprocessing; scores in percent.

    Many to one are those of over-clustered heads; as released where the releases' rules make a difference.
    """
    return pd.DataFrame(records, columns=SCORE_COLUMNS).astype(dict.fromkeys(SCORES, float))


def class_table(records: list[dict]) -> pd.DataFrame:
    """IoU per class in percent (empty where a class never occurs), in the rows of the score table."""
    rows = [
        {"experiment": r["experiment"], "seed": r["seed"], "postprocess": r["postprocess"], "class": name, "iou": iou}
        for r in records
        for name, iou in r["iou"].items()
    ]
    return pd.DataFrame(rows, columns=["experiment", "seed", "postprocess", "class", "iou"])


def summary_table(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds (sample; empty for a single seed) of a score table."""
    groups = table.groupby(GROUP, sort=False)
    measures = {score: (score, "mean") for score in SCORES} | {f"{score}_sd": (score, "std") for score in SCORES}
    order = [column for score in SCORES for column in (score, f"{score}_sd")]
    return groups.agg(seeds=("seed", "size"), **{column: measures[column] for column in order}).reset_index()
