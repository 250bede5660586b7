"""The workflow, from any folder."""

import os
import sys

import click

from ..settings.shipped import shipped_path


@click.command()
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS OF SNAKEMAKE]")
def workflow(arguments: tuple[str, ...]) -> None:
    """Run the workflow that smooseg comes with, in this folder.

    If the folder has a config.yaml, that is used. Everything after -- goes to snakemake.

    Example: smooseg workflow -- --cores all --config run=camvid data_root=../data
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(shipped_path("Snakefile")), *arguments]
    os.execv(sys.executable, command)  # its exit code and signals are the command's
