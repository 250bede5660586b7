"""List the views of a data set, or join the lists of parts of its images."""

from pathlib import Path

from smooseg.images.datasets import open_dataset
from smooseg.images.indexing import index_part, join_parts
from smooseg.images.manifests import write_manifest
from smooseg.running.jobs import job

if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        view, output = snakemake.params.view, Path(snakemake.output[0])
        dataset, whole = open_dataset(snakemake.params.dataset), output.with_suffix(".part")
        parts = list(map(Path, snakemake.input)) if snakemake.params.parts > 1 else [whole]
        if parts == [whole]:
            evaluation = snakemake.wildcards.view == "eval"
            write_manifest(whole, index_part(dataset, **view, evaluation=evaluation, workers=snakemake.threads))
        join_parts(parts, dataset, view["split"], output)
        whole.unlink(missing_ok=True)
