"""Train a head from a feature cache alone."""

from pathlib import Path

from smooseg.heads import HEADS, save_head
from smooseg.jobs import job
from smooseg.provenance import feature_needs
from smooseg.store import open_store

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        experiment, seed = snakemake.params.experiment, int(snakemake.wildcards.seed)
        needs = feature_needs(snakemake.params.needs, snakemake.input.manifest, snakemake.input.facts)
        labels = snakemake.input.get("labels")  # of the supervised reference alone
        same_views = {key: needs[key] for key in ("manifest_sha256", "size")}
        supervision = {"labels": open_store(Path(labels).parent, same_views)} if labels else {}
        head, history = HEADS[experiment["head"]].fit(
            open_store(snakemake.params.store, needs),
            experiment["clusters"],
            experiment["settings"],
            seed=seed,
            budget=int(1e9 * snakemake.params.memory_gb),
            **supervision,
        )
        history.to_parquet(snakemake.output.history)
        save_head(head, experiment["head"], experiment | {"seed": seed, "features": needs}, Path(snakemake.output.head))
