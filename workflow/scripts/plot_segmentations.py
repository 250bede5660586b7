"""Draw images, labels and segmentations of some evaluation views."""

import json
from pathlib import Path

import pandas as pd

from smooseg.features.store import open_store
from smooseg.results.plots.segmentations import plot_segmentations, rank_views, segmentation_columns
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, inputs = snakemake.params, snakemake.input
        manifest = pd.read_parquet(inputs.manifest)
        scores = {
            title: json.loads(Path(p).read_text("utf-8")) for title, p in zip(params.titles, inputs.scores, strict=True)
        }
        maps = {title: open_store(Path(p).parent, {}) for title, p in zip(params.titles, inputs.maps, strict=True)}
        labels = open_store(Path(inputs.labels).parent, {})
        ranking = rank_views(manifest, scores)
        ranking.to_csv(snakemake.output.table, index=False)
        shown = ranking[ranking["shown"]]
        root = Path(params.dataset["root"])
        columns = segmentation_columns(manifest, root, labels, maps, scores, list(shown["view"]))
        plot_segmentations(columns, shown, params.dataset["classes"], Path(snakemake.output.figure))
