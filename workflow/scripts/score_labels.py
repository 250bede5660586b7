"""Match clusters to classes and score."""

import json
from pathlib import Path

import pandas as pd

from smooseg.evaluation.scoring import score_labels
from smooseg.features.provenance import manifest_sha256
from smooseg.features.store import open_store
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        expect = {"manifest_sha256": manifest_sha256(pd.read_parquet(snakemake.input.manifest))}
        scores = score_labels(
            open_store(Path(snakemake.input.maps).parent, expect),
            open_store(Path(snakemake.input.labels).parent, expect),
            snakemake.params.clusters,
            snakemake.params.classes,
            matched=snakemake.params.matched,
            scheduler=snakemake.config["dask"]["scheduler"],
        )
        Path(snakemake.output[0]).write_text(json.dumps(scores), "utf-8")
