"""What a workflow run left: scores, caches."""

import json
from pathlib import Path

import click

from ..errors import SmoosegError
from ..settings.catalogue import load_catalogue
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
    table = pd.read_csv(path).dropna(axis="columns", how="all")  # many to one, where no head is over-clustered
    click.echo(table.round(2).to_string(index=False, na_rep=""))
    click.echo(f"\nreport: {results / 'report.html'}")


@click.command()
@click.argument("path")
@click.option("--from", "first", type=click.IntRange(2), default=2, show_default=True, help="Fewest clusters to try.")
@click.option("--to", "last", type=click.IntRange(2, 255), default=20, show_default=True, help="Most clusters to try.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="PNG of the curve to write.")
def clusters(path: str, first: int, last: int, out: Path | None) -> None:
    """Advise how many clusters to ask for, without labels, from the training features at PATH.

    Heads fitted on random halves of the views label the same patches; where they agree, the clusters are in the
    images. Printed is the agreement for each number, as CSV; peaks, the good choices, are named at the end, on
    standard error. A first peak is often coarse (sky and ground): take the one as fine as you need.

    Example: smooseg clusters work/results/features/pictures/dinov2_s14_focus/train.zarr --to 12 --out clusters.png
    """
    from ..features.store import open_store
    from ..heads.smooseg_plus.stability import cluster_stability, peaks
    from ..results.plots.sweeps import plot_stability

    if last < first:
        raise SmoosegError(f"--from {first} is above --to {last}")
    store, catalogue = open_store(path, {}), load_catalogue()
    model, budget = store.provenance.get("model"), int(1e9 * catalogue["train"]["memory_gb"])
    same = [backbone for backbone in catalogue["backbones"].values() if backbone["model"] == model]
    subtract = any(backbone["subtract_mean"] for backbone in same)
    if not same:
        click.echo(f"no backbone in config.yaml has the model {model}: its mean feature is not subtracted", err=True)
    table = cluster_stability(store, range(first, last + 1), subtract_mean=subtract, budget=budget)
    click.echo(table.round(3).to_csv(index=False), nl=False)
    if out is not None:
        plot_stability(table, out)
    click.echo(f"most stable: {', '.join(map(str, peaks(table))) or 'none stands out'}", err=True)


@click.group(cls=Commands)
def cache() -> None:
    """Look into feature caches and label maps: .zarr folders or URLs."""


@cache.command()
@click.argument("path")
def info(path: str) -> None:
    """Print shape, bytes, completeness and provenance of a store, as JSON.

    Example: smooseg cache info results/features/demo/dinov2_s14_focus/train.zarr
    """
    from ..features.store import Store

    click.echo(json.dumps(Store(path).info(), indent=2))


@cache.command()
@click.argument("path")
def verify(path: str) -> None:
    """Read every chunk of a store and compare its checksums; exit code 1 if anything is wrong.

    Example: smooseg cache verify results/features/demo/dinov2_s14_focus/train.zarr
    """
    from ..features.store import Store
    from ..running.progress import progress

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
