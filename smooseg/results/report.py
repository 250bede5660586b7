"""One self-contained HTML page of a run: tables, figures, times, facts."""

import base64
from dataclasses import dataclass
from datetime import datetime
from os.path import relpath
from pathlib import Path

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, select_autoescape

from ..running import machine
from .rows import class_rows, comparison, criteria_rows, mark_name, summary_rows, winners

DETAILS = {"segmentations", "confusion", "training_curves"}  # kinds of figures that are one for each head


@dataclass(frozen=True)
class Kind:
    """All figures of one kind.

    Args:
        name: Folder of the figures.
        title: Of the kind.
        caption: How to read them.
        figures: Name, PNG as base64, and the path of the CSV behind it relative to the page.
        details: Whether they are one for each head, and folded away.
    """

    name: str
    title: str
    caption: str
    figures: list[tuple[str, str, str]]
    details: bool


def figure_kinds(figures: list[Path], captions: list[Path], page: Path) -> list[Kind]:
    """Figures by kind, in the order of the captions.

    Args:
        figures: PNGs, ``.../{kind}/{name}.png``; the CSV behind each lies beside it.
        captions: ``.../{kind}.rst``: a title, an empty line, how to read the figures.
        page: The report.
    """
    kinds = []
    for caption in captions:
        title, _, text = caption.read_text("utf-8").partition("\n\n")
        mine = [
            (path.stem, embed_png(path), relpath(path.with_suffix(".csv"), page.parent))
            for path in figures
            if path.parent.name == caption.stem
        ]
        kinds.append(Kind(caption.stem, title, text, mine, caption.stem in DETAILS))
    return [kind for kind in kinds if kind.figures]


def run_facts(config: dict) -> dict[str, str]:
    """What the numbers depend on besides the configuration and the weights; the suite's own page is of no run."""
    return ({"run": config["run"]} if "run" in config else {}) | {
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "machine that wrote this page": f"{machine.devices()}, {machine.processor()}",
        "versions": machine.versions(),
        "packages": ", ".join(machine.packages()[0]),
    }


def embed_png(path: Path) -> str:
    """A picture as base64, for the page to hold."""
    return base64.b64encode(path.read_bytes()).decode()


@dataclass(frozen=True)
class Run:
    """What a run of the workflow left.

    Args:
        summary: Scores, mean and spread over seeds.
        classes: IoU per class.
        histories: Training history by experiment and seed.
        tables: Comparisons of methods by name.
        criteria: What :func:`smooseg.results.comparisons.criteria_table` gave, by sweep.
        figures, captions: As for :func:`figure_kinds`.
        times: What :func:`smooseg.results.timing.stage_times` gave.
        weights: What :func:`smooseg.features.weights.fetch_weights` returned, by backbone.
        config: Resolved configuration.
        suite: What :func:`smooseg.results.suite.page.suite_view` gave; None in a report without it.
    """

    summary: pd.DataFrame
    classes: pd.DataFrame
    histories: dict[tuple[str, str], pd.DataFrame]
    tables: dict[str, pd.DataFrame]
    criteria: dict[str, pd.DataFrame]
    figures: list[Path]
    captions: list[Path]
    times: pd.DataFrame
    weights: dict[str, dict]
    config: dict
    suite: dict | None = None


def write_report(template: Path, run: Run, path: Path) -> None:
    """Render the page.

    Args:
        template: Jinja2 template.
        run: What it shows.
        path: HTML file to write.
    """
    environment = Environment(loader=FileSystemLoader(template.parent), autoescape=select_autoescape(default=True))
    supervised = set(run.summary.loc[run.summary["uses_labels"], "experiment"])
    header, rows = class_rows(run.classes, supervised)

    def title(head: tuple[str, str]) -> str:
        return f"{mark_name(head[0], head[0] in supervised)}, seed {head[1]}"

    training = [{"name": title(head), **history.iloc[-1].to_dict()} for head, history in run.histories.items()]
    kinds = figure_kinds(run.figures, run.captions, path)
    path.write_text(
        environment.get_template(template.name).render(
            summary=summary_rows(run.summary),
            merged=run.summary["merged_by_hand"].any(),
            many_to_one=run.summary["many_to_one_accuracy"].notna().any(),
            released=run.summary["released_accuracy"].notna().any(),
            winners=winners(run.summary),
            class_header=header,
            class_rows=rows,
            training=training,
            tables=[comparison(name, run.config["tables"][name], table) for name, table in run.tables.items()],
            criteria={name: criteria_rows(table) for name, table in run.criteria.items()},
            kinds=[kind for kind in kinds if not kind.details],
            details=[kind for kind in kinds if kind.details],
            times=run.times.to_dict("records"),
            weights=run.weights,
            suite=run.suite,
            facts=run_facts(run.config),
            config=yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True),
        ),
        "utf-8",
    )
