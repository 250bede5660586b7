"""List the views of a data set."""

from smooseg.datasets import open_dataset
from smooseg.jobs import job
from smooseg.views import index_views

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
