"""What a workflow run left: scores, caches."""

import json
from pathlib import Path

import click

from ..catalogue import load_catalogue
from ..errors import SmoosegError
from .group import Commands


@click.command()
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help="The workflow's results folder; as in config.yaml where not given.",
)
def scores(results: Path | None) -> None:
    """Print the score table of the last run, and where its report is.

    Example: smooseg scores --results results
    """
    import pandas as pd

    results = results or Path(load_catalogue()["results"])
    path = results / "tables" / "scores.csv"
    if not path.is_file():
        raise SmoosegError(f"{path} is missing; run snakemake --cores all first")
    click.echo(pd.read_csv(path).round(2).to_string(index=False, na_rep=""))
    click.echo(f"\nreport: {results / 'report.html'}")


@click.group(cls=Commands)
def cache() -> None:
    """Look into feature caches and label maps: .zarr folders or URLs."""


@cache.command()
@click.argument("path")
def info(path: str) -> None:
    """Print shape, bytes, completeness and provenance of a store, as JSON.

    Example: smooseg cache info results/features/demo/dinov2_s14_focus/train.zarr
    """
    from ..store import Store

    click.echo(json.dumps(Store(path).info(), indent=2))


@cache.command()
@click.argument("path")
def verify(path: str) -> None:
    """Read every chunk of a store and compare its checksums; exit code 1 if anything is wrong.

    Example: smooseg cache verify results/features/demo/dinov2_s14_focus/train.zarr
    """
    from ..progress import progress
    from ..store import Store

    store = Store(path)
    store.listed = store.recorded()
    problems = store.problems()
    store.listed = None  # reading is to find damage inside chunks
    for start, stop in progress(store.blocks(store.chunk), unit="chunk", desc="verify"):
        try:
            store.read(start, stop)
        except SmoosegError as error:
            problems.append(str(error).removeprefix(f"{path}: "))
    for problem in problems:
        click.echo(f"{path}: {problem}")
    if problems:
        raise SmoosegError(f"{path}: {len(problems)} problems in {store.chunks} chunks")
    click.echo(f"{path}: {store.chunks} chunks of {store.views} views are whole")
