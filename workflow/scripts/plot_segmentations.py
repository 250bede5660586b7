"""Draw images, labels and segmentations of one trained head."""

import json
from pathlib import Path

import pandas as pd

from smooseg.jobs import job
from smooseg.plots import plot_segmentations, segmentation_columns, spread
from smooseg.store import open_store

IMAGES = 5

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, inputs = snakemake.params, snakemake.input
        manifest = pd.read_parquet(inputs.manifest)
        scores = {Path(path).stem: json.loads(Path(path).read_text()) for path in inputs.scores}
        maps = {Path(path).parent.stem: open_store(Path(path).parent, {}) for path in inputs.maps}
        accuracies = scores[params.postprocess[0]]["image_accuracy"]
        images = spread(accuracies, IMAGES)
        columns = segmentation_columns(
            manifest, Path(params.dataset["root"]), open_store(Path(inputs.labels).parent, {}), maps, scores, images
        )
        names = [f"view {i}: {accuracies[i]:.0f} %" for i in images]
        plot_segmentations(columns, names, params.dataset["classes"], Path(snakemake.output[0]))
