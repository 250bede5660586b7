"""People's own pictures."""

from pathlib import Path

import click

from ..errors import SmoosegError

IMAGES = click.argument("images", nargs=-1, required=True)
OUT = click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
BANDS = click.option(
    "--bands",
    callback=lambda context, option, text: split_bands(text) if text else None,
    help="Of rasters: numbers of one band or three, as 4,3,2; if not given, the head's, or red, green and blue.",
)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NAMES = click.option("--names", type=FILE, help="CSV of what the clusters are called, as smooseg gallery saves it.")


@click.command()
@IMAGES
@click.option("--head", required=True, type=FILE, help="A fitted head: results/experiments/NAME/SEED/head.safetensors.")
@OUT
@click.option("--weights", type=FILE, help="The backbone's weights; those in the head's results folder if not given.")
@NAMES
@click.option("--crf", is_flag=True, help="Refine by the dense CRF: edges follow the image, in 0.1 s of a core each.")
@click.option(
    "--size",
    type=click.IntRange(16, 4096),
    help="Shorter side the backbone sees (pixels); the head's evaluation's if not given (320: 0.4 s, 644: 3.5 s).",
)
@click.option(
    "--scale",
    type=click.FloatRange(0, 8, min_open=True),
    help="Pixels the backbone sees for one of the image (1: all of them), in windows; one view of --size if not given.",
)
@click.option(
    "--tile",
    type=click.IntRange(16, 4096),
    help="Side of a window (pixels), --size if not given; without --scale, at the scale of the head's training views.",
)
@click.option(
    "--clusters",
    type=click.IntRange(2, 255),
    help="Clusters to cut a smooseg_plus head into; the number that it was fitted for if not given.",
)
@BANDS
@click.option("--polygons", is_flag=True, help="Write outlines of rasters' masks as GeoPackages, too.")
@click.option(
    "--batch", type=click.IntRange(1), default=8, show_default=True, help="Images or windows in a forward pass."
)
@click.pass_context
def segment(context: click.Context, images: tuple[str, ...], out: Path, **options) -> None:
    """Write masks for IMAGES: files, folders (with all below them) or quoted globs.

    For each image OUT/NAME.png is a mask of its size, whose palette shows the ids, and OUT/NAME.overlay.jpg shows it
    over the image; where IMAGES have equal names, NAME begins with their folders. OUT/legend.csv names the ids:
    classes where the head was scored, else clusters. OUT/shares.csv has the percent of each in each image; its path
    is printed. Images whose mask is finished are skipped, so the same command goes on where it was stopped.
    Images that cannot be used are named, the others are done, and the exit code is 1.

    A smooseg_plus head holds every number of clusters: --clusters cuts it without a new fit. Masks of another number
    than it was fitted for show clusters, not the classes of its scores.

    An image is seen as one view, whatever its pixels. With --scale or --tile, and where it is longer than three times
    its shorter side or has more than 100 megapixels, it is seen in overlapping windows.

    Of rasters (georeferenced, or more than Pillow reads; with the extra raster installed) the mask is OUT/NAME.tif, a
    GeoTIFF in the same place.

    Example: smooseg segment photos --head results/experiments/camvid_smooseg/0/head.safetensors --out masks
    """
    from ..pictures.output.tables import SHARES
    from ..pictures.segment import segment as write_masks

    outcome = write_masks(list(images), out=out, **options)
    say_masks(context, outcome, out)
    click.echo(out / SHARES)
    require_all(outcome)


def split_bands(text: str) -> tuple[int, ...]:
    """Numbers of bands between commas.

    Raises:
        SmoosegError: If they are not one or three numbers from 1.
    """
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) not in {1, 3} or not all(number.isdecimal() and int(number) for number in numbers):
        raise SmoosegError(f"--bands {text!r}: give the number of one band, or of three, as 4,3,2; the first is 1")
    return tuple(map(int, numbers))


@click.command()
@click.argument("head", type=FILE)
@click.argument("images", nargs=-1)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="HTML file; gallery.html beside HEAD if not given."
)
@click.option("--weights", type=FILE, help="The backbone's weights; those in the head's results folder if not given.")
@NAMES
def gallery(head: Path, images: tuple[str, ...], out: Path | None, weights: Path | None, names: Path | None) -> None:
    """Write an HTML page on which you choose, split, merge and name the clusters of HEAD.

    The page shows the colour, share, typical patches and pictures of each cluster. Pictures are IMAGES (files,
    folders, quoted globs) or, after smooseg fit, those that HEAD was fitted on; up to 200 are looked at, and 100 are
    shown whole. A slider sets the number of clusters where HEAD holds several (smooseg_plus). Save names.csv on the
    page, and give it to --names of segment and fit. The page is one file and needs no server.

    Example: smooseg gallery work/results/experiments/smooseg_plus/0/head.safetensors
    """
    from ..pictures.output.gallery import make_gallery

    out = out or head.with_name("gallery.html")
    problems = make_gallery(head, list(images), out, weights, names)
    for problem in problems:
        click.echo(problem, err=True)
    click.echo(out)
    if problems:
        raise SmoosegError(f"{len(problems)} of the images given could not be used; each is named above")


@click.command()
@click.argument("masks", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--to", required=True, type=click.Choice(["cityscapes", "coco", "cvat", "labelstudio"]), help="Format to write."
)
@OUT
def export(masks: Path, to: str, out: Path) -> None:
    """Write the MASKS of a folder, as smooseg segment and fit leave it, for annotation tools and training code.

    coco: annotations.json with a run-length mask for each class in each picture. cvat: annotations.xml (CVAT for images
    1.1) and labels.json, a task's raw labels. labelstudio: tasks.json with predictions, and labels.xml, the labeling
    interface. cityscapes: PNGs of ids and of colours below gtFine/train. Names and colours are those of legend.csv,
    void is no class. What was written is printed.

    Example: smooseg export work/masks --to cvat --out cvat
    """
    from ..pictures.exports.export import export as write_export

    for path in write_export(masks, to, out):
        click.echo(path)


def say_masks(context: click.Context, outcome, folder: Path) -> None:
    """How many masks there are, how many of them were there before, and how many clusters they use."""
    masks, kept = len(outcome.shares), outcome.kept
    if context.meta.get("volume") != "quiet":
        before = f", {kept} of them from an earlier run" if kept else ""
        click.echo(f"{masks} masks in {folder}{before}; {outcome.used} of {outcome.clusters} clusters occur", err=True)


def require_all(outcome) -> None:
    """Name the images that have no mask, and raise if there are any."""
    for problem in outcome.problems:
        click.echo(problem, err=True)
    if outcome.problems:
        raise SmoosegError(f"{len(outcome.problems)} of the images given have no mask; each is named above")
