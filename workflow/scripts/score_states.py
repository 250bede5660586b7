"""Score the states that a training went through."""

from pathlib import Path

from smooseg.evaluation.prediction import require_same_precision
from smooseg.evaluation.states import score_states
from smooseg.features.provenance import feature_needs
from smooseg.features.store import open_store
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, inputs = snakemake.params, snakemake.input
        needs = feature_needs(params.needs, inputs.manifest, inputs.facts)
        labels = open_store(Path(inputs.labels).parent, {"manifest_sha256": needs["manifest_sha256"]})
        features, head, states = open_store(params.store, needs), Path(inputs.head), Path(inputs.states)
        require_same_precision(features, head)
        table = score_states(head, states, features, labels, params.classes, matched=params.matched)
        table.to_csv(snakemake.output[0], index=False)
