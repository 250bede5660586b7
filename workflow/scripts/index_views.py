"""List the views of a data set."""

from smooseg.datasets import open_dataset
from smooseg.jobs import job
from smooseg.views import index_views

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        settings, view = snakemake.params.dataset, snakemake.wildcards.view
        manifest = index_views(
            open_dataset(settings), **settings[view], evaluation=view == "eval", workers=snakemake.threads
        )
        manifest.to_parquet(snakemake.output[0])
