"""Score a point of a sweep and measure it without labels. No label map is written."""

import json
from pathlib import Path

from smooseg.evaluation.measures import measure_head
from smooseg.evaluation.prediction import require_same_precision
from smooseg.evaluation.scoring import summarise
from smooseg.evaluation.states import image_confusions
from smooseg.features.provenance import feature_needs
from smooseg.features.store import open_store
from smooseg.heads import load_head
from smooseg.running.files import write_whole
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        inputs, params, output = snakemake.input, snakemake.params, snakemake.output
        needs = feature_needs(params.needs, inputs.manifest, inputs.facts)
        features = open_store(params.store, needs)
        labels = open_store(Path(inputs.labels).parent, {"manifest_sha256": needs["manifest_sha256"]})
        require_same_precision(features, Path(inputs.head))
        head, _ = load_head(Path(inputs.head))
        counted = image_confusions(head, features, labels, len(params.classes))
        found = {
            output.measures: measure_head(head, features),
            output.scores: summarise(counted, params.classes, params.matched),
        }
        for path, content in found.items():
            with write_whole(Path(path)) as aside:
                aside.write_text(json.dumps(content), "utf-8")
