"""Extract the features of a data set's views with a backbone."""

from pathlib import Path

import pandas as pd

from smooseg.extraction import extract_features
from smooseg.jobs import job
from smooseg.provenance import feature_needs

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, settings = snakemake.params, snakemake.config["extract"]
        needs = params.backbone | {"resample": params.resample, "precision": params.precision}
        extract_features(
            pd.read_parquet(snakemake.input.manifest),
            Path(params.root),
            Path(snakemake.input.weights),
            Path(snakemake.output.complete).parent,
            needs=feature_needs(needs, snakemake.input.manifest, snakemake.input.facts),
            code=params.code,
            batch=settings["batch"],
            workers=settings["workers"],
        )
