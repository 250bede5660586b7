"""Give every pixel of the evaluation views its cluster."""

from pathlib import Path

from smooseg.jobs import job
from smooseg.prediction import predict_labels
from smooseg.provenance import feature_needs
from smooseg.store import open_store

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        needs = feature_needs(snakemake.params.needs, snakemake.input.manifest, snakemake.input.facts)
        predict_labels(
            open_store(snakemake.params.store, needs),
            Path(snakemake.input.head),
            Path(snakemake.output.complete).parent,
            snakemake.params.code,
            workers=snakemake.threads,
            scheduler=snakemake.config["dask"]["scheduler"],
        )
