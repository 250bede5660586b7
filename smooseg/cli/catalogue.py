"""Data sets, backbones, heads and experiments that exist, and whether smooseg works on this machine."""

import json
from pathlib import Path

import click

from ..settings import catalogue
from .group import Commands, show_table

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="Configuration file. Default: config.yaml in this folder, or the one that smooseg comes with.",
)
DATA_ROOT = click.option("--data-root", type=click.Path(path_type=Path), help="Folder that holds the data sets.")
RESULTS = click.option("--results", type=click.Path(path_type=Path), help="The workflow's results folder.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")


def show(rows: list[dict], columns: list[str], as_json: bool) -> None:
    """Print rows as a table of some columns, or whole as JSON."""
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        show_table(rows, columns)


@click.group(cls=Commands, invoke_without_command=True)
@CONFIG
@DATA_ROOT
@RESULTS
@JSON
@click.pass_context
def datasets(
    context: click.Context, config: Path | None, data_root: Path | None, results: Path | None, as_json: bool
) -> None:
    """List the data sets: which ones are present, and which files the others lack and where to get them.

    For those that can be fetched, the list has the size and the licence. Only "fetch" fetches anything.

    Example: smooseg datasets --data-root ../data
    """
    if context.invoked_subcommand:
        return
    settings = catalogue.load_catalogue(config, data_root=data_root, results=results)
    rows = catalogue.datasets(settings)
    show(rows, ["name", "layout", "classes", "present", "fetch", "licence", "folder"], as_json)
    for row in [] if as_json else rows:
        if row["missing"] and row["fetch"] and not Path(row["folder"]).exists():
            command = catalogue.fetch_command(settings, row["name"])
            click.echo(f"{row['name']}: {row['folder']} is not there; {command} fetches {row['from']}")
        elif row["missing"]:
            source = f" (from {row['from']})" if row["from"] else ""
            click.echo(f"{row['name']}: {row['folder']} lacks {', '.join(row['missing'])}{source}")


@datasets.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@CONFIG
@DATA_ROOT
@click.pass_context
def fetch(context: click.Context, names: tuple[str, ...], config: Path | None, data_root: Path | None) -> None:
    """Fetch data sets, each into its folder. One that is there stays as it is.

    "smooseg datasets" shows the licences. By fetching, you accept them.

    Example: smooseg datasets fetch camvid --data-root ../data
    """
    before = context.parent.params if context.parent else {}  # options may stand on either side of "fetch"
    given = {"config": config or before["config"], "data_root": data_root or before["data_root"]}
    settings = catalogue.load_catalogue(given["config"], data_root=given["data_root"])
    for name in names:
        fetched = catalogue.fetch_dataset(settings, name)
        row = catalogue.dataset_row(settings, name)
        click.echo(f"{name}: {'fetched into' if fetched else 'is there already, in'} {row['folder']}")
        for title in ("licence", "citation"):
            if fetched and row[title]:
                click.echo(f"{name}: {title}: {row[title]}")


@click.command()
@CONFIG
@RESULTS
@JSON
def backbones(config: Path | None, results: Path | None, as_json: bool) -> None:
    """List the backbones: where the weights of each come from, and whether they have been fetched.

    Example: smooseg backbones --json
    """
    rows = catalogue.backbones(catalogue.load_catalogue(config, results=results))
    show(rows, ["name", "model", "block", "weights", "needs", "present", "missing"], as_json)


@click.command()
@click.option("--all", "every", is_flag=True, help="List all settings, not only those that people commonly change.")
@JSON
def heads(every: bool, as_json: bool) -> None:
    """List the heads: whether each is trained with labels, and the settings that people commonly change.

    Example: smooseg heads --all
    """
    found = catalogue.heads()
    settings = [
        {
            "head": row["name"],
            "labels": row["labels"],
            "setting": key,
            "default": row["settings"][key],
            "meaning": meaning["title"],
        }
        for row in found
        for key, meaning in row["meanings"].items()
        if every or meaning["common"]
    ]
    show(found if as_json else settings, ["head", "labels", "setting", "default", "meaning"], as_json)


@click.command()
@CONFIG
@RESULTS
@JSON
def experiments(config: Path | None, results: Path | None, as_json: bool) -> None:
    """List the experiments, without those of sweeps, and which of their seeds are trained and scored.

    Example: smooseg experiments --results results
    """
    rows = catalogue.experiments(catalogue.load_catalogue(config, results=results))
    show(rows, ["name", "dataset", "backbone", "head", "clusters", "trained", "scored"], as_json)


@click.command()
@CONFIG
@click.pass_context
def doctor(context: click.Context, config: Path | None) -> None:
    """Check this machine: versions, device, memory, disk, CRF and weights.

    Each line begins with ok, note (it works, with a limit) or fail, and says what to do. The exit code is 1 if a line
    says fail.

    Example: smooseg doctor
    """
    from .examination import examine

    findings = examine(config)
    for finding in findings:
        remedy = f" ({finding.remedy})" if finding.remedy else ""
        click.echo(f"{finding.state:<6}{finding.what}: {finding.found}{remedy}")
    if any(finding.state == "fail" for finding in findings):
        context.exit(1)
