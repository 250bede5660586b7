"""Write the report of a run."""

from pathlib import Path

import pandas as pd

from smooseg.jobs import job
from smooseg.report import write_report

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        inputs = snakemake.input
        histories = {Path(path).parts[-3:-1]: pd.read_parquet(path) for path in inputs.histories}
        write_report(
            Path(inputs.template),
            pd.read_csv(inputs.summary),
            pd.read_csv(inputs.classes),
            histories,
            {Path(path).stem: pd.read_csv(path) for path in inputs.tables},
            {tuple(Path(path).stem.rsplit("-", 1)): Path(path) for path in inputs.figures},
            {Path(path).stem: Path(path) for path in inputs.sweep_figures},
            snakemake.params.config,
            Path(snakemake.output[0]),
        )
