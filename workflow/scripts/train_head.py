"""Train a head from a feature cache alone."""

from pathlib import Path

from smooseg.features.provenance import feature_needs
from smooseg.features.store import open_store
from smooseg.heads.fitting import Fitting, fit_head, other_place
from smooseg.heads.inputs import read_inputs
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, inputs, output = snakemake.params, snakemake.input, Path(snakemake.output.head)
        needs = feature_needs(params.needs, inputs.manifest, inputs.facts)
        fitting = Fitting(
            params.experiment,
            int(snakemake.wildcards.seed),
            open_store(params.store, needs),
            needs,
            params.memory_gb,
            read_inputs(inputs, needs),
            Path(inputs.base) if inputs.get("base") else None,
        )
        states = snakemake.config["train"]["states"]
        fit_head(fitting, output, other_place(output), states, snakemake.output.get("states"))
