"""Score every cut of a head, and k-means of each number of clusters beside it, and draw them."""

from pathlib import Path

import pandas as pd

from smooseg.evaluation.cuts import KMEANS, score_cuts, score_kmeans
from smooseg.evaluation.prediction import require_same_precision
from smooseg.features.provenance import feature_needs
from smooseg.features.store import open_store
from smooseg.heads import load_head
from smooseg.results.plots.cuts import plot_cut_scores
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, inputs, output = snakemake.params, snakemake.input, snakemake.output
        needs = feature_needs(params.needs, inputs.manifest, inputs.facts)
        features = open_store(params.store, needs)
        train = open_store(params.train, feature_needs(params.needs, inputs.train_manifest, inputs.facts))
        labels = open_store(Path(inputs.labels).parent, {"manifest_sha256": needs["manifest_sha256"]})
        require_same_precision(features, Path(inputs.head))
        head, how = load_head(Path(inputs.head))[0], {"seed": int(snakemake.wildcards.seed)}
        how["budget"] = int(1e9 * params.memory_gb)
        settings = {"subtract_mean": head.settings["subtract_mean"]}
        numbers = {*KMEANS, params.classes}
        cuts = score_cuts(head, features, labels, params.classes)
        kmeans = score_kmeans(train, features, labels, params.classes, numbers, settings, **how)
        table = pd.concat([cuts, kmeans], ignore_index=True)
        table.to_csv(output.table, index=False)
        title = f"{snakemake.wildcards.experiment}, seed {snakemake.wildcards.seed}"
        plot_cut_scores(table, params.classes, head.recommended, title, Path(output.figure))
