"""Collect the scores of a sweep and draw them."""

from pathlib import Path

from smooseg.comparisons import read_scores, read_training, sweep_table
from smooseg.jobs import job
from smooseg.plots import plot_sweep
from smooseg.sweeps import grid, point_name

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        sweep = snakemake.params.sweep
        points = {point_name(sweep["experiment"], point): point for point in grid(sweep, snakemake.wildcards.sweep)}
        table = sweep_table(points, read_scores(snakemake.input.scores), read_training(snakemake.input.histories))
        table.to_csv(snakemake.output.table, index=False)
        varied = [key for key in sweep["settings"] if table[key].nunique() > 1]
        plot_sweep(table, varied, sweep["title"], Path(snakemake.output.figure))
