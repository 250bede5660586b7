"""Propose masks for every training view, refined with the dense CRF."""

from pathlib import Path

from smooseg.evaluation.proposals import propose_masks
from smooseg.features.provenance import feature_needs
from smooseg.features.store import open_store
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, inputs = snakemake.params, snakemake.input
        needs = feature_needs(params.needs, inputs.manifest, inputs.facts)
        propose_masks(
            open_store(params.store, needs),
            Path(snakemake.output.complete).parent,
            params.code,
            Path(inputs.manifest),
            Path(params.root),
            params.proposals,
            params.crf,
            workers=snakemake.threads,
            scheduler=snakemake.config["dask"]["scheduler"],
        )
