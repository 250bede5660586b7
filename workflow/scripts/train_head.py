"""Train a head from a feature cache alone."""

from pathlib import Path

from smooseg.features.provenance import feature_needs
from smooseg.features.store import open_store
from smooseg.heads import HEADS, Snapshot, save_head
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        params, inputs, output = snakemake.params, snakemake.input, Path(snakemake.output.head)
        needs = feature_needs(params.needs, inputs.manifest, inputs.facts)
        store, entry = open_store(params.store, needs), params.experiment
        same_views = {key: needs[key] for key in ("manifest_sha256", "size")}
        labels = inputs.get("labels")  # of the supervised reference alone
        supervision = {"labels": open_store(Path(labels).parent, same_views)} if labels else {}
        experiment = entry | {"seed": int(snakemake.wildcards.seed), "features": needs}
        circumstances = {"code": params.code, "memory_gb": params.memory_gb}
        snapshot = Snapshot(output, experiment | circumstances, [store, *supervision.values()])
        head, history = HEADS[entry["head"]].fit(
            store,
            entry["clusters"],
            entry["settings"],
            seed=experiment["seed"],
            budget=int(1e9 * params.memory_gb),
            snapshot=snapshot,
            **supervision,
        )
        save_head(head, entry["head"], experiment, output)
        history.to_parquet(snakemake.output.history)
        snapshot.remove()
