"""The suite's part of a report: its tables as people read them, and what each head and each data set is."""

import json
from os.path import relpath
from pathlib import Path

import pandas as pd

from ..plots.scores import POSTPROCESS
from .tables import ANY, DIGITS, SCORES

FROM = "where it comes from"
SAID = {"git": FROM, "url": FROM, "licence": "licence", "citation": "citation"}  # of a source that can be fetched


def suite_view(tables: list[str], members: dict[str, dict], heads: dict[str, dict], config: dict, page: Path) -> dict:
    """What the template shows of the suite.

    Args:
        tables: CSVs of :func:`smooseg.results.suite.tables.summary_table` and
            :func:`smooseg.results.suite.tables.leave_one_out`; that of every fit lies beside them.
        members: What :func:`smooseg.settings.suite.suite_experiments` gave.
        heads: Title, description and page of each head.
        config: Resolved configuration.
        page: The report.
    """
    summary, choices = (pd.read_csv(path) for path in tables)
    sets = list(dict.fromkeys(member["dataset"] for member in members.values()))
    return {
        "csv": f"{relpath(Path(tables[0]).parent, page.parent)}/",
        "seeds": len(config["suite"]["seeds"]),
        "tables": [table_rows(kind, rows, sets) for kind, rows in summary.groupby("postprocess", sort=False)],
        "choices": choice_rows(choices, {name: facts["title"] for name, facts in heads.items()}),
        "heads": [head_facts(name, facts, members, config) for name, facts in heads.items()],
        "sets": [set_facts(name, config["datasets"][name]) for name in sets],
    }


def table_rows(postprocess: str, rows: pd.DataFrame, sets: list[str]) -> dict:
    """One postprocessing's table; the best method on each set is marked, references apart."""
    blind = rows[~rows["reference"].astype(bool)]
    best = {key: blind[key].round(DIGITS).max() for key in rows if key.partition(":")[0] in SCORES}
    shown = []
    for row in rows.to_dict("records"):
        keys = [[f"{kind}:{name}" for kind in SCORES] for name in sets]
        shown.append(
            {
                "method": row["method"],
                "head": row["head"] if isinstance(row["head"], str) else None,
                "reference": row["reference"],
                "ranks": [decimals(row[f"{kind}_rank"], 2) for kind in SCORES],
                "wins": [decimals(row[f"{kind}_wins"] if not row["reference"] else None, 0) for kind in SCORES],
                "spread": [decimals(row[f"{kind}_spread"], 1) for kind in SCORES],
                "cells": [
                    [
                        (decimals(row[key], 1), not row["reference"] and round(row[key], DIGITS) == best[key])
                        for key in pair
                    ]
                    for pair in [list(SCORES), *keys]
                ],
            }
        )
    return {"masks": POSTPROCESS[postprocess], "rows": shown}


def decimals(value: float | None, digits: int) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def choice_rows(choices: pd.DataFrame, titles: dict[str, str]) -> list[dict]:
    """What choosing on the other sets gives on average, by postprocessing, score and head."""
    rows = []
    for (postprocess, kind, head), part in choices.groupby(["postprocess", "score", "head"], sort=False):
        taken = part["chosen"].value_counts()
        rows.append(
            {
                "masks": POSTPROCESS[postprocess],
                "score": {"accuracy": "accuracy", "miou": "mIoU"}[kind],
                "head": ANY if head == ANY else titles[head],
                "chosen": "; ".join(f"{name} ({number} of {len(part)})" for name, number in taken.items()),
                "chosen_score": decimals(part["chosen_score"].mean(), 1),
                "best_score": decimals(part["best_score"].mean(), 1),
            }
        )
    return rows


def set_facts(name: str, entry: dict) -> dict:
    """What a data set is: its classes, and what its entry says of it."""
    views = ", ".join(
        f"{entry[view]['split']} for {use}" for view, use in (("train", "training"), ("eval", "evaluation"))
    )
    facts = {"classes": ", ".join(entry["classes"]), "splits": views, "layout": entry["layout"]}
    return {"name": name, "classes": len(entry["classes"]), "facts": facts | origin(entry)}


def origin(entry: dict) -> dict[str, str]:
    """Where a data set comes from, and its licence and citation where its entry has them."""
    if entry["generate"]:
        return {FROM: "drawn by the workflow"}
    source = entry["source"] if isinstance(entry["source"], dict) else {"url": entry["source"]}
    return {title: source[key] for key, title in SAID.items() if source.get(key)}


def head_facts(name: str, facts: dict, members: dict[str, dict], config: dict) -> dict:
    """What a head is: its description, the page about it, and its settings under each preset."""
    of_head = {m["preset"]: config["experiments"][e] for e, m in members.items() if m["head"] == name}
    return {
        "name": name,
        "title": facts["title"],
        "what": facts["description"],
        "page": facts["page"],
        "presets": {
            preset: f"{json.dumps(entry['settings'])} on {entry['backbone']}" for preset, entry in of_head.items()
        },
    }
