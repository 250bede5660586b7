"""Draw the confusion matrix of clusters and classes."""

import json
from pathlib import Path

from smooseg.results.plots.scores import confusion_table, plot_confusion
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        table = confusion_table(json.loads(Path(snakemake.input[0]).read_text("utf-8")))
        table.to_csv(snakemake.output.table)
        title = f"{snakemake.wildcards.experiment}, seed {snakemake.wildcards.seed}"
        plot_confusion(table, title, Path(snakemake.output.figure))
