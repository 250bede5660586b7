"""Collect the scores of a sweep and draw them."""

from pathlib import Path

from smooseg.results.comparisons import criteria_table, read_measures, read_scores, read_training, sweep_table
from smooseg.results.plots.sweeps import plot_sweep
from smooseg.results.plots.training import plot_penalties, read_penalties
from smooseg.running.jobs import job
from smooseg.settings.sweeps import grid, point_name, varied_settings

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        sweep, inputs, output = snakemake.params.sweep, snakemake.input, snakemake.output
        points = {point_name(sweep["experiment"], point): point for point in grid(sweep, snakemake.wildcards.sweep)}
        changing = varied_settings(sweep) or list(sweep["settings"])[:1]
        measured = [read_scores(inputs.scores), read_training(inputs.histories), read_measures(inputs.measures)]
        table = sweep_table(points, *measured)
        table.to_csv(output.table, index=False)
        criteria_table(table, changing).to_csv(output.criteria, index=False)
        plot_sweep(table, changing, sweep["title"], Path(output.figure))
        panels = {name: ", ".join(f"{key} = {point[key]}" for key in changing) for name, point in points.items()}
        penalties = read_penalties(inputs.measures, panels, before=False)
        penalties.to_csv(output.penalties_table, index=False)
        columns = {point[changing[-1]] for point in points.values()}
        plot_penalties(penalties, sweep["title"], Path(output.penalties), min(len(columns), 6))
