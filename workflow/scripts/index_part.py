"""List the views of a part of a data set's images."""

from pathlib import Path

from smooseg.images.datasets import open_dataset
from smooseg.images.indexing import index_part
from smooseg.images.manifests import write_manifest
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, wildcards = snakemake.params, snakemake.wildcards
        found = index_part(
            open_dataset(params.dataset),
            **params.view,
            evaluation=wildcards.view == "eval",
            workers=snakemake.threads,
            part=int(wildcards.part),
            parts=int(wildcards.parts),
        )
        write_manifest(Path(snakemake.output[0]), found)
