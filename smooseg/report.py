"""One self-contained HTML page of a run: tables, figures, facts."""

import base64
import os
import platform
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, select_autoescape

PACKAGES = ["smooseg", "torch", "timm", "zarr", "scikit-learn", "snakemake", "numpy"]


def mean_and_spread(mean: float, spread: float) -> str:
    """ "63.0 ± 1.2", or the mean alone where there is one seed."""
    return f"{mean:.1f}" if pd.isna(spread) else f"{mean:.1f} ± {spread:.1f}"


def marked(name: str, uses_labels: bool) -> str:
    """A name, with a dagger if its head was trained with labels."""
    return f"{name} †" if uses_labels else name


def summary_rows(summary: pd.DataFrame) -> list[dict]:
    """Rows of the summary for the page; the best that saw no label is marked, for each data set and postprocessing."""
    rows = []
    for _, group in summary.groupby(["dataset", "postprocess"], sort=False):
        blind = group[~group["uses_labels"]]
        for row in group.itertuples():
            rows.append(
                {
                    "experiment": marked(row.experiment, row.uses_labels),
                    "head": row.head,
                    "backbone": row.backbone,
                    "postprocess": row.postprocess,
                    "seeds": row.seeds,
                    "accuracy": mean_and_spread(row.accuracy, row.accuracy_sd),
                    "miou": mean_and_spread(row.miou, row.miou_sd),
                    "best_accuracy": not row.uses_labels and row.accuracy == blind["accuracy"].max(),
                    "best_miou": not row.uses_labels and row.miou == blind["miou"].max(),
                }
            )
    return rows


def comparison(name: str, entry: dict, table: pd.DataFrame) -> dict:
    """A table of methods for the page: ours beside published; the best of ours that saw no label is marked.

    Args:
        name: Of the table.
        entry: Its resolved configuration.
        table: What :func:`smooseg.comparisons.comparison_table` gave.
    """
    scores = [f"{postprocess}_{score}" for postprocess in entry["postprocess"] for score in ("accuracy", "miou")]
    best = table.loc[~table["uses_labels"], scores].max()
    rows = []
    for record in table.to_dict("records"):
        cells = []
        for score in scores:
            ours, published = record[score], record[score.replace("_", "_published_", 1)]
            cells.append(
                {
                    "ours": "" if pd.isna(ours) else mean_and_spread(ours, record[f"{score}_sd"]),
                    "best": ours == best[score],
                    "published": "" if pd.isna(published) else f"{published:.1f}",
                }
            )
        seconds = record["training_seconds"]
        time = "" if pd.isna(seconds) else f"{seconds / 60:.1f}"
        method = marked(record["method"], record["uses_labels"])
        rows.append({"method": method, "time": time, "cells": cells})
    return {"name": name, "title": entry["title"], "seeds": entry["seeds"], "rows": rows} | {
        "postprocess": entry["postprocess"],
        "published": any(cell["published"] for row in rows for cell in row["cells"]),
    }


def class_rows(classes: pd.DataFrame, supervised: set[str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of IoU per class, mean over seeds; one line for each class."""
    if classes.empty:
        return ["class"], []
    names = [marked(name, name in supervised) for name in classes["experiment"]]
    classes = classes.assign(column=[" · ".join(pair) for pair in zip(names, classes["postprocess"], strict=True)])
    wide = classes.pivot_table(index="class", columns="column", values="iou", sort=False, dropna=False)
    rows = [
        [name, *("–" if pd.isna(v) else f"{v:.1f}" for v in values)]
        for name, values in zip(wide.index, wide.to_numpy(), strict=True)
    ]
    return ["class", *wide.columns], rows


def run_facts(config: dict) -> dict[str, str]:
    """What the numbers depend on besides the configuration."""
    facts = {
        "run": config["run"],
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    return facts | {"packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES)}


def embedded_png(path: Path) -> str:
    """A picture as base64, for the page to hold."""
    return base64.b64encode(path.read_bytes()).decode()


def write_report(
    template: Path,
    summary: pd.DataFrame,
    classes: pd.DataFrame,
    histories: dict[tuple[str, str], pd.DataFrame],
    tables: dict[str, pd.DataFrame],
    figures: dict[tuple[str, str], Path],
    sweeps: dict[str, Path],
    config: dict,
    path: Path,
) -> None:
    """Render the page.

    Args:
        template: Jinja2 template.
        summary: Scores, mean and spread over seeds.
        classes: IoU per class.
        histories: Training history by experiment and seed.
        tables: Comparisons of methods by name.
        figures: Segmentations (PNG) by experiment and seed.
        sweeps: Figure (PNG) of each sweep by name.
        config: Resolved configuration.
        path: HTML file to write.
    """
    environment = Environment(loader=FileSystemLoader(template.parent), autoescape=select_autoescape(default=True))
    supervised = set(summary.loc[summary["uses_labels"], "experiment"])
    header, rows = class_rows(classes, supervised)

    def title(head: tuple[str, str]) -> str:
        return f"{marked(head[0], head[0] in supervised)}, seed {head[1]}"

    training = [{"name": title(head), **history.iloc[-1].to_dict()} for head, history in histories.items()]
    path.write_text(
        environment.get_template(template.name).render(
            summary=summary_rows(summary),
            class_header=header,
            class_rows=rows,
            training=training,
            tables=[comparison(name, config["tables"][name], table) for name, table in tables.items()],
            figures={title(head): embedded_png(figure) for head, figure in figures.items()},
            sweeps={name: embedded_png(figure) for name, figure in sweeps.items()},
            facts=run_facts(config),
            config=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        )
    )
