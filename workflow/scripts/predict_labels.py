"""Give every pixel of the evaluation views its cluster."""

from pathlib import Path

from smooseg.evaluation.prediction import predict_labels
from smooseg.features.provenance import feature_needs
from smooseg.features.store import open_store
from smooseg.running.jobs import job

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
