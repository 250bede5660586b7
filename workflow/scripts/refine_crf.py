"""Refine the clusters of every pixel with the dense CRF."""

from pathlib import Path

from smooseg.evaluation.prediction import refine_labels, require_same_precision
from smooseg.features.provenance import feature_needs
from smooseg.features.store import open_store
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        needs = feature_needs(snakemake.params.needs, snakemake.input.manifest, snakemake.input.facts)
        store = open_store(snakemake.params.store, needs)
        require_same_precision(store, Path(snakemake.input.head))
        refine_labels(
            store,
            Path(snakemake.input.head),
            Path(snakemake.output.complete).parent,
            snakemake.params.code,
            Path(snakemake.input.manifest),
            Path(snakemake.params.root),
            snakemake.params.crf,
            named=snakemake.params.named,
            workers=snakemake.threads,
            scheduler=snakemake.config["dask"]["scheduler"],
        )
