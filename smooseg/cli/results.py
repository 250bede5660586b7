"""Results of a workflow run: scores, clusters, caches."""

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
    help="The workflow's results folder. Default: as in config.yaml.",
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
@click.option("--from", "first", type=click.IntRange(2), default=2, show_default=True, help="Fewest clusters to show.")
@click.option("--to", "last", type=click.IntRange(2, 255), help="Most clusters to show. Default: all of the head.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="PNG file to write, with the curves.")
def clusters(path: str, first: int, last: int | None, out: Path | None) -> None:
    """Compare the numbers of clusters that a head or a cache of features allows, without labels.

    PATH is the file of a smooseg_plus head, or a train.zarr of features; the command then fits a head. It prints one
    row of CSV for each number of clusters:

    \b
    agreement  how well several trees of clusters agree: 1 is fully, 0 is chance
    within     share of neighbouring patches that are in the same cluster
    between    share of any two patches that are in the same cluster
    smooth     (within - between) / (1 - between): 1 is smoothest, 0 is chance

    The last line, on standard error, recommends a number to begin with and says why.

    Example: smooseg clusters work/results/experiments/smooseg_plus/0/head.safetensors --to 12 --out clusters.png
    """
    from ..heads import load_head
    from ..heads.smooseg_plus import SmooSegPlusHead
    from ..heads.smooseg_plus.stability import cut_table
    from ..results.plots.sweeps import plot_cuts

    if last is not None and last < first:
        raise SmoosegError(f"--from {first} is above --to {last}")
    head = load_head(Path(path))[0] if Path(path).is_file() else head_of_features(path, last)
    if not isinstance(head, SmooSegPlusHead) or head.worth is None:
        raise SmoosegError(
            f"{path}: the head holds {head.clusters} clusters only; give a smooseg_plus head, or features"
        )
    table = cut_table(head.worth.numpy())
    shown = table[table["clusters"].between(first, last or head.finest)]
    if shown.empty:
        raise SmoosegError(f"{path}: the head holds at most {head.finest} clusters, fewer than --from {first}")
    click.echo(shown.round(3).to_csv(index=False), nl=False)
    if out is not None:
        plot_cuts(shown, out)
    click.echo(head.advice, err=True)


def head_of_features(path: str, most: int | None):
    """A head that is fitted to features to advise on their clusters."""
    from ..features.cached import find_manifest
    from ..features.store import open_store
    from ..heads.inputs import picture_numbers
    from ..heads.smooseg_plus.advice import advising_head

    store, catalogue = open_store(path, {}), load_catalogue()
    model, budget = store.provenance.get("model"), int(1e9 * catalogue["train"]["memory_gb"])
    same = [backbone for backbone in catalogue["backbones"].values() if backbone["model"] == model]
    subtract = any(backbone["subtract_mean"] for backbone in same)
    if model and not same:
        click.echo(f"no backbone in config.yaml has the model {model}: its mean feature is not subtracted", err=True)
    pictures = picture_numbers(manifest) if (manifest := find_manifest(store)) else None
    if pictures is None:
        click.echo(f"{path}: the images of its views are not known: each view is taken for an image", err=True)
    return advising_head(store, most, subtract_mean=subtract, budget=budget, pictures=pictures)


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
    store.listed = store.listed_checksums()
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
