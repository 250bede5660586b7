"""Give every pixel of the evaluation views its cluster, and measure the head without labels."""

import json
from pathlib import Path

from smooseg.evaluation.measures import head_measures
from smooseg.evaluation.prediction import predict_labels, require_same_precision
from smooseg.features.provenance import feature_needs
from smooseg.features.store import open_store
from smooseg.heads import load_head
from smooseg.running.files import write_whole
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        inputs, params, output = snakemake.input, snakemake.params, snakemake.output
        store = open_store(params.store, feature_needs(params.needs, inputs.manifest, inputs.facts))
        require_same_precision(store, Path(inputs.head))
        predict_labels(
            store,
            Path(inputs.head),
            Path(output.complete).parent,
            params.code,
            named=params.named,
            workers=snakemake.threads,
            scheduler=snakemake.config["dask"]["scheduler"],
        )
        if path := output.get("measures"):
            measures = head_measures(load_head(Path(inputs.head))[0], store, int(snakemake.wildcards.seed))
            with write_whole(Path(path)) as aside:
                aside.write_text(json.dumps(measures), "utf-8")
