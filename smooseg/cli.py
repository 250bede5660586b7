"""The ``smooseg`` command: what a workflow run left, for people at a terminal."""

from pathlib import Path

import click
import pandas as pd

from .errors import SmoosegError


class OneSentence(click.Group):
    """A command group that says a :class:`SmoosegError` in one sentence, without a traceback."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except SmoosegError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=OneSentence)
@click.version_option(package_name="smooseg")
def main() -> None:
    """Unsupervised semantic segmentation on cached features."""


@main.command()
@click.option(
    "--results",
    default="results",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The workflow's results folder.",
)
def scores(results: Path) -> None:
    """Print the score table of the last run, and where its report is.

    Example: smooseg scores --results results
    """
    path = results / "tables" / "scores.csv"
    if not path.is_file():
        raise SmoosegError(f"{path} is missing; run snakemake --cores all first")
    click.echo(pd.read_csv(path).round(2).to_string(index=False, na_rep=""))
    click.echo(f"\nreport: {results / 'report.html'}")
