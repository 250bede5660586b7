"""List the views of a data set."""

from smooseg.images.datasets import open_dataset
from smooseg.images.views import index_views
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        view = snakemake.wildcards.view
        manifest = index_views(
            open_dataset(snakemake.params.dataset),
            **snakemake.params.view,
            evaluation=view == "eval",
            workers=snakemake.threads,
        )
        manifest.to_parquet(snakemake.output[0])
