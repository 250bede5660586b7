"""The ``smooseg`` command: parses and prints; the library does the work."""

import click

from ..running.machine import limit_gdal
from .catalogue import backbones, datasets, doctor, experiments, heads
from .fit import fit
from .group import Commands
from .pictures import export, gallery, segment
from .results import cache, clusters, scores
from .workflow import workflow


@click.group(cls=Commands)
@click.version_option(package_name="smooseg")
def main() -> None:
    """Unsupervised semantic segmentation on cached features.

    Results go to standard output, progress and errors to standard error. The exit code is 0 if all went well, 1 if
    something failed and 2 if the command was not understood.

    Example: smooseg segment photos --head results/experiments/camvid_smooseg/0/head.safetensors --out masks
    """
    limit_gdal()


for command in (
    fit,
    segment,
    gallery,
    export,
    workflow,
    datasets,
    backbones,
    heads,
    experiments,
    doctor,
    scores,
    clusters,
    cache,
):
    main.add_command(command)
