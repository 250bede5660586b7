"""Match clusters to classes and score."""

import json
from pathlib import Path

from smooseg.evaluation.naming import group_names, read_names
from smooseg.evaluation.scoring import score_labels
from smooseg.features.provenance import file_sha256
from smooseg.features.store import open_store
from smooseg.heads import load_head
from smooseg.images.manifests import listed_sha256
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        expect = {"manifest_sha256": listed_sha256(snakemake.input.manifest)}
        path, names = Path(snakemake.input.head), snakemake.params.names
        head, _ = load_head(path)
        named = read_names(Path(names), head.clusters, file_sha256(path), head.cuts[-1]) if names else None
        scores = score_labels(
            open_store(Path(snakemake.input.maps).parent, expect),
            open_store(Path(snakemake.input.labels).parent, expect),
            len(named) if named else head.clusters,
            snakemake.params.classes,
            matched=snakemake.params.matched,
            groups=named and group_names(named)[1],
            scheduler=snakemake.config["dask"]["scheduler"],
        )
        Path(snakemake.output[0]).write_text(json.dumps(scores), "utf-8")
