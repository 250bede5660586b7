"""Draw the distributions of the label penalty before and after training."""

from pathlib import Path

from smooseg.results.plots.training import plot_penalties, read_penalties
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        rows = read_penalties(snakemake.input, snakemake.params.titles, before=True)
        rows.to_csv(snakemake.output.table, index=False)
        plot_penalties(rows, snakemake.wildcards.dataset, Path(snakemake.output.figure))
