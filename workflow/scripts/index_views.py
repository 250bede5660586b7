"""List the views of a data set, or of a part of its images, or join the lists of all parts."""

from pathlib import Path

from smooseg.images.datasets import open_dataset
from smooseg.images.indexing import index_part, join_parts
from smooseg.images.manifests import write_manifest
from smooseg.running.jobs import job


def list_part(path: Path, part: int = 1, parts: int = 1) -> None:
    """List the views of a part of the images."""
    evaluation, view = snakemake.wildcards.view == "eval", snakemake.params.view
    found = index_part(dataset, **view, evaluation=evaluation, workers=snakemake.threads, part=part, parts=parts)
    write_manifest(path, found)


if __name__ == "__main__":
    with job(snakemake.log[0], snakemake.threads):
        dataset, output = open_dataset(snakemake.params.dataset), Path(snakemake.output[0])
        if snakemake.wildcards.get("part"):
            list_part(output, int(snakemake.wildcards.part), int(snakemake.wildcards.parts))
        elif snakemake.params.parts > 1:
            join_parts(list(map(Path, snakemake.input)), dataset, snakemake.params.view["split"], output)
        else:
            whole = output.with_suffix(".part")
            list_part(whole)
            join_parts([whole], dataset, snakemake.params.view["split"], output)
            whole.unlink()
