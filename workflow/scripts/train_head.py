"""Train a head from a feature cache alone."""

from pathlib import Path

from smooseg.features.provenance import feature_needs, file_sha256
from smooseg.features.store import Store, open_store
from smooseg.heads import Snapshot, find_head, save_head
from smooseg.heads.inputs import read_inputs
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, inputs, output = snakemake.params, snakemake.input, Path(snakemake.output.head)
        needs = feature_needs(params.needs, inputs.manifest, inputs.facts)
        store, entry = open_store(params.store, needs), params.experiment
        given = read_inputs(inputs, needs)
        stores = [store, *(part for part in given.values() if isinstance(part, Store))]
        seed, budget = int(snakemake.wildcards.seed), int(1e9 * params.memory_gb)
        features = needs | {"precision": store.provenance["precision"]}
        experiment = entry | {"seed": seed, "features": features}
        circumstances = {"code": params.code, "memory_gb": params.memory_gb}
        if "base" in given:
            circumstances["base"] = file_sha256(inputs.base)
        snapshot = Snapshot(output, experiment | circumstances, stores, snakemake.config["train"]["states"])
        head, history = find_head(entry["head"]).fit(
            store, entry["clusters"], entry["settings"], seed=seed, budget=budget, snapshot=snapshot, **given
        )
        save_head(head, entry["head"], experiment, output)
        history.to_parquet(snakemake.output.history)
        snapshot.remove(snakemake.output.get("states"))
