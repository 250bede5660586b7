"""Write the report of a run."""

import json
from pathlib import Path

import pandas as pd

from smooseg.results.report import Run, write_report
from smooseg.results.suite.page import suite_view
from smooseg.results.timing import stage_times
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        inputs, params, output = snakemake.input, snakemake.params, snakemake.output
        page = Path(output.page)
        times = stage_times(Path(params.config["results"]), set(params.names), params.config["experiments"])
        times.to_csv(output.times, index=False)
        run = Run(
            summary=pd.read_csv(inputs.summary),
            classes=pd.read_csv(inputs.classes),
            histories={Path(path).parts[-3:-1]: pd.read_parquet(path) for path in inputs.histories},
            tables={Path(path).stem: pd.read_csv(path) for path in inputs.tables},
            criteria={Path(path).stem.removesuffix("_criteria"): pd.read_csv(path) for path in inputs.criteria},
            figures=list(map(Path, inputs.figures)),
            captions=list(map(Path, inputs.captions)),
            times=times,
            weights={Path(path).stem: json.loads(Path(path).read_text("utf-8")) for path in inputs.weights},
            config=params.config,
            suite=suite_view(inputs.suite, **params.suite, config=params.config, page=page) if inputs.suite else None,
        )
        write_report(Path(inputs.template), run, page)
