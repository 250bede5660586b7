"""Draw patches by their features and by the embeddings of heads, with t-SNE."""

import json
from pathlib import Path

import pandas as pd

from smooseg.features.store import open_store
from smooseg.heads import load_head
from smooseg.images.manifests import listed_sha256
from smooseg.results.plots.embeddings import plot_embeddings, project_patches
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        expect = {"manifest_sha256": listed_sha256(snakemake.input.manifest)}
        classes, panels = snakemake.params.classes, []
        for panel in snakemake.params.panels:
            stores = open_store(panel["store"], expect), open_store(Path(panel["labels"]).parent, expect)
            trained = []
            if "head" in panel:
                scores = json.loads(Path(panel["scores"]).read_text("utf-8"))
                trained = [load_head(Path(panel["head"]))[0], scores["assignment"]]
            panels.append(project_patches(panel["title"], *stores, len(classes), *trained))
        points = pd.concat(panels)
        points.to_csv(snakemake.output.table, index=False)
        plot_embeddings(points, classes, snakemake.wildcards.dataset, Path(snakemake.output.figure))
