"""Plan a feature store: its shape, its size, and whether the disk has room."""

import json
from pathlib import Path

import pandas as pd

from smooseg.features.planning import plan_features
from smooseg.features.provenance import feature_needs
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, manifest = snakemake.params, snakemake.input.manifest
        store = plan_features(
            len(pd.read_parquet(manifest, columns=["mirror"])),
            params.store,
            feature_needs(params.needs, manifest, snakemake.input.facts),
            code=params.code,
            codec=params.codec,
            batch=snakemake.config["extract"]["batch"],
            replace=snakemake.config["extract"]["cache"] is None,
        )
        Path(snakemake.output.plan).write_text(json.dumps({"store": str(store.path), "shape": store.shape}), "utf-8")
