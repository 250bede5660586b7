"""Collect the scores of a run."""

from smooseg.results.tables import class_table, collect_scores, score_table, summary_table
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params = snakemake.params
        scores = collect_scores(snakemake.input, params.experiments, params.splits, params.supervised)
        table = score_table(scores)
        table.to_csv(snakemake.output.scores, index=False)
        class_table(scores).to_csv(snakemake.output.classes, index=False)
        summary_table(table).to_csv(snakemake.output.summary, index=False)
