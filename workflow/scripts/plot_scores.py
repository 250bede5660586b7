"""Draw scores with and without CRF, and IoU by class."""

from pathlib import Path

import pandas as pd

from smooseg.results.plots.scores import plot_scores, score_rows
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        tables = pd.read_csv(snakemake.input.scores), pd.read_csv(snakemake.input.classes)
        rows = score_rows(*tables, snakemake.params.titles)
        rows.to_csv(snakemake.output.table, index=False)
        plot_scores(rows, Path(snakemake.output.figure))
