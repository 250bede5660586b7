"""Rows of a report's tables, as people read them: scores with their spread, marks, what is best."""

import pandas as pd

from .plots.scores import POSTPROCESS

PUBLISHED = {"unknown": "", "checkpoint": " ‡", "training": " §"}  # marks of published figures that labels came into
PIXELS = {"all": "", "dropped": " ◊"}  # and of those that leave pixels out


def mean_and_spread(mean: float, spread: float) -> str:
    """ "63.0 ± 1.2", or the mean alone where there is one seed."""
    return f"{mean:.1f}" if pd.isna(spread) else f"{mean:.1f} ± {spread:.1f}"


def mark_name(name: str, uses_labels: bool, merged: bool = False) -> str:
    """A name, with a dagger if its head was trained with labels, and with a pilcrow if its clusters were merged."""
    return f"{name}{' †' if uses_labels else ''}{' ¶' if merged else ''}"


def is_blind(table: pd.DataFrame) -> pd.Series:
    """Rows of a table whose heads nobody helped: not trained with labels, and not merged by hand."""
    return ~(table["uses_labels"] | table["merged_by_hand"]).astype(bool)


def summary_rows(summary: pd.DataFrame) -> list[dict]:
    """Rows of the summary for the page; the best without any help is marked, for each data set and postprocessing."""
    rows = []
    for _, group in summary.groupby(["dataset", "postprocess"], sort=False):
        blind = group[is_blind(group)]
        for row in group.to_dict("records"):
            helped = row["uses_labels"] or row["merged_by_hand"]
            rows.append(
                row
                | {
                    "experiment": mark_name(row["experiment"], row["uses_labels"], row["merged_by_hand"]),
                    "postprocess": POSTPROCESS[row["postprocess"]],
                    "accuracy": mean_and_spread(row["accuracy"], row["accuracy_sd"]),
                    "miou": mean_and_spread(row["miou"], row["miou_sd"]),
                    "best_accuracy": not helped and row["accuracy"] == blind["accuracy"].max(),
                    "best_miou": not helped and row["miou"] == blind["miou"].max(),
                    "many_to_one": both_scores(row, "many_to_one"),
                    "released": both_scores(row, "released"),
                }
            )
    return rows


def both_scores(row: dict, kind: str) -> list[str]:
    """Accuracy and mIoU of one kind, empty where a head has none."""
    scores = [f"{kind}_accuracy", f"{kind}_miou"]
    return ["" if pd.isna(row[score]) else mean_and_spread(row[score], row[f"{score}_sd"]) for score in scores]


def winners(summary: pd.DataFrame) -> list[dict]:
    """For each data set, which experiment without any help has the best accuracy and the best mIoU, and the next."""
    found, blind = [], summary[is_blind(summary)]
    for dataset, group in blind.groupby("dataset", sort=False):
        for score in ("accuracy", "miou"):
            first = group.loc[group[score].idxmax()]
            others = group[group["experiment"] != first["experiment"]]
            second = None if others.empty else others.loc[others[score].idxmax()]
            found.append(
                {
                    "dataset": dataset,
                    "score": {"accuracy": "pixel accuracy", "miou": "mean IoU"}[score],
                    "first": describe(first, score),
                    "second": None if second is None else describe(second, score),
                }
            )
    return found


def describe(row: pd.Series, score: str) -> str:
    """An experiment's score in words."""
    value = mean_and_spread(row[score], row[f"{score}_sd"])
    return f"{row['experiment']} {POSTPROCESS[row['postprocess']]}, {value}"


def comparison(name: str, entry: dict, table: pd.DataFrame) -> dict:
    """A table of methods for the page: ours beside published; the best of ours without any help is marked.

    Args:
        name: Of the table.
        entry: Its resolved configuration.
        table: What :func:`smooseg.results.comparisons.comparison_table` gave.
    """
    scores = [f"{postprocess}_{score}" for postprocess in entry["evaluate"] for score in ("accuracy", "miou")]
    chosen = [name for name in ("best_accuracy", "best_miou") if name in table]
    best = table.loc[is_blind(table), scores].max()
    rows: list[dict] = []
    for record in table.to_dict("records"):
        cells = []
        for score in scores:
            published = record[score.replace("_", "_published_", 1)]
            marks = PUBLISHED[record["published_labels"]] + PIXELS[record["published_pixels"]]
            cells.append(
                {
                    "ours": format_score(record, score),
                    "best": record[score] == best[score],
                    "published": "" if pd.isna(published) else f"{published:.1f}{marks}",
                }
            )
        seconds = record["training_seconds"]
        time = "" if pd.isna(seconds) else f"{seconds / 60:.1f}"
        method = mark_name(record["method"], record["uses_labels"], record["merged_by_hand"])
        rows.append(
            {"method": method, "time": time, "cells": cells} | {"chosen": [format_score(record, s) for s in chosen]}
        )
    return {"name": name, "title": entry["title"], "seeds": entry["seeds"], "rows": rows} | {
        "postprocess": entry["evaluate"],
        "merged": table["merged_by_hand"].any(),
        "published": any(cell["published"] for row in rows for cell in row["cells"]),
    }


def format_score(record: dict, score: str) -> str:
    """A score of a row with its spread, or nothing."""
    return "" if pd.isna(record[score]) else mean_and_spread(record[score], record[f"{score}_sd"])


def criteria_rows(table: pd.DataFrame) -> list[dict]:
    """Rows of a table of label-free criteria for the page; the settings that each chooses in words."""
    fixed = {"criterion", "rank_accuracy", "rank_miou", "accuracy_share", "miou_share"}
    settings = [name for name in table if name not in fixed]
    return [
        {key: row[key] for key in fixed} | {"choice": ", ".join(f"{name} = {row[name]}" for name in settings)}
        for row in table.to_dict("records")
    ]


def class_rows(classes: pd.DataFrame, supervised: set[str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of IoU per class, mean over seeds; one line for each class that occurs in labels."""
    if classes.empty:
        return ["class"], []
    names = [mark_name(name, name in supervised) for name in classes["experiment"]]
    classes = classes.assign(column=[" · ".join(pair) for pair in zip(names, classes["postprocess"], strict=True)])
    wide = classes.pivot_table(index="class", columns="column", values="iou", sort=False, dropna=False)
    wide = wide.dropna(how="all")
    rows = [
        [name, *("–" if pd.isna(v) else f"{v:.1f}" for v in values)]
        for name, values in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return ["class", *wide.columns], rows
