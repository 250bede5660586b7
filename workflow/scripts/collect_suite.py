"""Collect the scores of the suite, rank its heads and draw the ranks."""

from pathlib import Path

from smooseg.results.plots.ranks import plot_ranks
from smooseg.results.suite.ranks import compare_all, rank_rows
from smooseg.results.suite.tables import fit_table, leave_one_out, summary_table
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, output = snakemake.params, snakemake.output
        fits, constant = fit_table(snakemake.input, params.members, params.titles)
        fits.to_csv(output.scores, index=False)
        summary_table(fits, constant).to_csv(output.summary, index=False)
        leave_one_out(fits).to_csv(output.choices, index=False)
        compared = compare_all(fits)
        rank_rows(compared).to_csv(output.ranks, index=False)
        plot_ranks(compared, Path(output.figure))
