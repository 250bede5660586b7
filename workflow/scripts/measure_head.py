"""Measure a head without labels."""

import json
from pathlib import Path

from smooseg.evaluation.measures import measure_head, untrained
from smooseg.features.provenance import feature_needs
from smooseg.features.store import open_store
from smooseg.heads import load_head
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        needs = feature_needs(snakemake.params.needs, snakemake.input.manifest, snakemake.input.facts)
        head, _ = load_head(Path(snakemake.input.head))
        store = open_store(snakemake.params.store, needs)
        measures = measure_head(head, store)
        start = untrained(head, int(snakemake.wildcards.seed))
        measures["start"] = None if start is None else measure_head(start, store)
        Path(snakemake.output[0]).write_text(json.dumps(measures), "utf-8")
