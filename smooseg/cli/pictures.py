"""People's own pictures."""

from pathlib import Path

import click

from ..errors import SmoosegError

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("images", nargs=-1, required=True)
@click.option("--head", required=True, type=FILE, help="A fitted head: results/experiments/NAME/SEED/head.safetensors.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--weights", type=FILE, help="The backbone's weights; those in the head's results folder if not given.")
@click.option("--crf", is_flag=True, help="Refine by the dense CRF: edges follow the image, at about a second each.")
@click.option(
    "--size",
    type=click.IntRange(16, 4096),
    help="Shorter side the backbone sees (pixels); that of the head's evaluation if not given.",
)
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, help="Images in a forward pass.")
@click.pass_context
def segment(context: click.Context, images: tuple[str, ...], out: Path, **options) -> None:
    """Write masks for IMAGES: files, folders (with all below them) or quoted globs.

    For each image OUT/NAME.png is a mask of its size, whose palette shows the ids, and OUT/NAME.overlay.jpg shows it
    over the image. OUT/legend.csv names the ids: classes where the head was scored, else clusters. OUT/shares.csv
    has the percent of each in each image; its path is printed. Images whose mask is finished are skipped, so the
    same command goes on where it was stopped. Images that cannot be used are named, the others are done, and the
    exit code is 1.

    Example: smooseg segment photos --head results/experiments/camvid_smooseg/0/head.safetensors --out masks
    """
    from ..pictures.masking import SHARES
    from ..pictures.masking import segment as write_masks

    outcome = write_masks(list(images), out=out, **options)
    masks, kept = len(outcome.shares), outcome.kept
    if context.meta.get("volume") != "quiet":
        click.echo(f"{masks} masks in {out}" + (f", {kept} of them from an earlier run" if kept else ""), err=True)
    click.echo(out / SHARES)
    for problem in outcome.problems:
        click.echo(problem, err=True)
    if outcome.problems:
        raise SmoosegError(f"{len(outcome.problems)} of the images given have no mask; each is named above")
