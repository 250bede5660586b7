"""Fetch, check and convert the weights of a backbone."""

import json
from pathlib import Path

from smooseg.features.weights import fetch_weights
from smooseg.running.files import write_whole
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        facts = fetch_weights(snakemake.params.model, snakemake.params.weights, Path(snakemake.output.weights))
        with write_whole(Path(snakemake.output.facts)) as aside:
            aside.write_text(json.dumps(facts, indent=1), "utf-8")
