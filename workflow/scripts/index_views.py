"""Join the lists of views of all parts of a data set."""

from pathlib import Path

from smooseg.images.indexing import join_parts
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params = snakemake.params
        views = f"{params.dataset['root']}: every view of {params.view['split']}"
        join_parts(list(map(Path, snakemake.input)), views, Path(snakemake.output[0]))
