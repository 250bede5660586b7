"""Extract one part of a planned feature store."""

from pathlib import Path

from smooseg.features.extraction import extract_features
from smooseg.features.store import Store
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        settings = snakemake.config["extract"]
        extract_features(
            Path(snakemake.input.manifest),
            Path(snakemake.params.root),
            Path(snakemake.input.weights),
            Store(snakemake.params.store),
            part=int(snakemake.wildcards.part),
            parts=int(snakemake.wildcards.parts),
            batch=settings["batch"],
            workers=settings["workers"],
        )
        Path(snakemake.output.part).touch()
