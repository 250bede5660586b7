"""Draw the demo's scenes."""

from pathlib import Path

from smooseg.images.demo.drawing import write_splits
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        write_splits(Path(snakemake.output.train_images).parents[1], snakemake.params.generate, snakemake.threads)
