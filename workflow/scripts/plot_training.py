"""Draw the training curves of an experiment."""

from pathlib import Path

from smooseg.results.plots.training import plot_training, read_histories
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        history = read_histories(snakemake.input)
        history.to_csv(snakemake.output.table, index=False)
        plot_training(history, snakemake.wildcards.experiment, Path(snakemake.output.figure))
