"""Set a table's scores beside the published ones."""

from smooseg.results.comparisons import comparison_table, read_best_states, read_scores, read_training
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        table = comparison_table(
            snakemake.params.table,
            read_scores(snakemake.input.scores),
            read_training(snakemake.input.histories),
            read_best_states(snakemake.input.states),
            snakemake.params.supervised,
            snakemake.params.merged,
        )
        table.to_csv(snakemake.output[0], index=False)
