"""Collect the scores of a sweep and draw them."""

from pathlib import Path

from smooseg.comparisons import read_measures, read_scores, read_training, sweep_table
from smooseg.jobs import job
from smooseg.plots import plot_sweep
from smooseg.sweeps import grid, point_name, varied

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        sweep = snakemake.params.sweep
        points = {point_name(sweep["experiment"], point): point for point in grid(sweep, snakemake.wildcards.sweep)}
        inputs = snakemake.input
        measured = [read_scores(inputs.scores), read_training(inputs.histories), read_measures(inputs.measures)]
        table = sweep_table(points, *measured)
        table.to_csv(snakemake.output.table, index=False)
        plot_sweep(table, varied(sweep) or list(sweep["settings"])[:1], sweep["title"], Path(snakemake.output.figure))
