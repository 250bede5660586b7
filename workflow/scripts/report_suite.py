"""Write the report of the suite."""

import json
from pathlib import Path

import pandas as pd

from smooseg.results.report import Run, write_report
from smooseg.results.suite.page import suite_view
from smooseg.results.tables import class_table, score_table, summary_table
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        inputs, params, page = snakemake.input, snakemake.params, Path(snakemake.output[0])
        shown = suite_view(inputs.tables, params.members, params.heads, params.config, page)
        weights = {Path(path).stem: json.loads(Path(path).read_text("utf-8")) for path in inputs.weights}
        nothing = summary_table(score_table([])), class_table([]), {}, {}, {}
        figures, captions = [Path(inputs.figure)], [Path(inputs.caption)]
        write_report(
            Path(inputs.template),
            Run(*nothing, figures, captions, pd.DataFrame(), weights, params.config, shown),
            page,
        )
