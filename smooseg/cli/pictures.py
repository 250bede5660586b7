"""People's own pictures."""

from pathlib import Path

import click

from ..errors import SmoosegError

IMAGES = click.argument("images", nargs=-1, required=True)
OUT = click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
BANDS = click.option(
    "--bands",
    callback=lambda context, option, text: split_bands(text) if text else None,
    help="Rasters only: the numbers of one band or three, as 4,3,2. Default: the head's bands, or red, green and blue.",
)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NAMES = click.option("--names", type=FILE, help="CSV of names for the clusters, as smooseg gallery saves it.")


@click.command()
@IMAGES
@click.option("--head", required=True, type=FILE, help="Fitted head: results/experiments/NAME/SEED/head.safetensors.")
@OUT
@click.option("--weights", type=FILE, help="Weights of the backbone. Default: those in the results folder of the head.")
@NAMES
@click.option(
    "--crf",
    is_flag=True,
    help="Refine masks by the dense CRF: edges follow the image (0.1 s each).",
)
@click.option(
    "--size",
    type=click.IntRange(16, 4096),
    help="Shorter side that the backbone sees (pixels). Default: the head's. 320 takes 0.4 s, 644 takes 3.5 s.",
)
@click.option(
    "--scale",
    type=click.FloatRange(0, 8, min_open=True),
    help="Pixels that the backbone sees for one pixel of the image, in windows. Default: one view of --size.",
)
@click.option(
    "--tile",
    type=click.IntRange(16, 4096),
    help="Side of a window (pixels). Default: --size. Its scale is --scale, or that of the training views.",
)
@click.option(
    "--clusters",
    type=click.IntRange(2, 255),
    help="How many clusters of a smooseg_plus head to show. Default: the number that it was fitted with.",
)
@BANDS
@click.option("--polygons", is_flag=True, help="Rasters only: also write the outlines of the masks as GeoPackages.")
@click.option(
    "--batch", type=click.IntRange(1), default=8, show_default=True, help="Images or windows in a forward pass."
)
@click.pass_context
def segment(context: click.Context, images: tuple[str, ...], out: Path, **options) -> None:
    """Write masks for IMAGES: files, folders (with all below them) or quoted globs.

    For each image, OUT/NAME.png is a mask of the same size, with a palette. OUT/NAME.overlay.jpg shows the mask over
    the image. Where several images have the same name, NAME begins with their folders. OUT/legend.csv names the ids:
    classes if the head was scored with labels, clusters otherwise. OUT/shares.csv has the percent of each id in each
    image. The command prints the path of this table.

    The same command continues where it was stopped: images with a finished mask are skipped. If an image cannot be
    used, the command names it, goes on with the others, and ends with exit code 1.

    A smooseg_plus head holds every number of clusters; --clusters shows another one without a new fit. Such masks show
    clusters, not the classes of the head's scores.

    The backbone sees an image as one view. It sees overlapping windows instead in four cases: with --scale, with
    --tile, if one side of the image is more than three times the other, and above 100 megapixels.

    For rasters (georeferenced files, or what Pillow cannot read), the mask is OUT/NAME.tif, a GeoTIFF of the same
    place. This needs the extra raster.

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
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="HTML file. Default: gallery.html beside HEAD.",
)
@click.option("--weights", type=FILE, help="Weights of the backbone. Default: those in the results folder of the head.")
@NAMES
def gallery(head: Path, images: tuple[str, ...], out: Path | None, weights: Path | None, names: Path | None) -> None:
    """Write an HTML page on which you choose, split, merge and name the clusters of HEAD.

    The page shows the colour, share, typical patches and pictures of each cluster. It takes the pictures from IMAGES
    (files, folders, quoted globs). After smooseg fit, it can take those that HEAD was fitted on. It looks at no more
    than 200 pictures and shows no more than 100 of them whole.

    A slider sets the number of clusters if HEAD holds several (smooseg_plus). Save names.csv on the page, and give it
    to --names of segment and fit. The page is one file and needs no server.

    Example: smooseg gallery work/results/experiments/smooseg_plus/0/head.safetensors
    """
    from ..pictures.gallery import make_gallery

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
    """Convert the folder MASKS, as smooseg segment and fit write it, for annotation tools and training code.

    \b
    coco         annotations.json: a run-length mask for each class in each picture
    cvat         annotations.xml (CVAT for images 1.1), and labels.json: a task's raw labels
    labelstudio  tasks.json with predictions, and labels.xml: the labeling interface
    cityscapes   PNGs of ids and of colours below gtFine/train

    Names and colours are those of legend.csv. Void is not a class. The command prints what it wrote.

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
