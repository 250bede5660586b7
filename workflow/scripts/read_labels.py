"""Read the labels of a data set's views."""

from pathlib import Path

from smooseg.evaluation.scoring import read_labels
from smooseg.images.datasets import open_dataset
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        read_labels(
            Path(snakemake.input.manifest),
            open_dataset(snakemake.params.dataset),
            snakemake.params.dataset["split"],
            snakemake.params.store,
            Path(snakemake.output.complete).parent,
            code=snakemake.params.code,
        )
