"""People's own pictures."""

import shlex
from pathlib import Path

import click

from ..errors import SmoosegError
from ..running.files import require_text
from .group import HeadChoice

IMAGES = click.argument("images", nargs=-1, required=True)
OUT = click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
BANDS = click.option(
    "--bands",
    callback=lambda context, option, text: split_bands(text) if text else None,
    help="Of rasters: numbers of one band or three, as 4,3,2; if not given, the head's, or red, green and blue.",
)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FEW = 3  # pictures, folders and globs that are typed out again in an advice
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

    An image is seen as one view, whatever its pixels. With --scale or --tile, and where it is longer than three times
    its shorter side or has more than 100 megapixels, it is seen in overlapping windows.

    Of rasters (georeferenced, or more than Pillow reads; with the extra raster installed) the mask is OUT/NAME.tif, a
    GeoTIFF in the same place.

    Example: smooseg segment photos --head results/experiments/camvid_smooseg/0/head.safetensors --out masks
    """
    from ..pictures.pipeline import SHARES
    from ..pictures.segment import segment as write_masks

    outcome = write_masks(list(images), out=out, **options)
    say_masks(context, outcome, out)
    click.echo(out / SHARES)
    require_all(outcome)


@click.command()
@IMAGES
@click.option(
    "--classes", required=True, type=click.IntRange(2, 255), help="Clusters to find: what the masks tell apart."
)
@OUT
@click.option("--labels", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of label files.")
@click.option("--label-table", type=FILE, help="CSV of what ids or colours in --labels mean: name, id, colour.")
@click.option("--class-names", help="Names of the label ids 0, 1, …, with commas between them.")
@click.option(
    "--void", type=click.IntRange(0, 255), default=255, show_default=True, help="Label id that is not scored."
)
@click.option(
    "--head",
    type=HeadChoice(["kmeans", "smooseg", "smooseg_plus", "stego"]),
    default="smooseg_plus",
    show_default=True,
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Training steps; 3000 (stego 5000) if not given. kmeans and smooseg_plus have none.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the training.")
@click.option("--backbone", default="dinov2_s14_focus", show_default=True, help="One of smooseg backbones.")
@NAMES
@click.option(
    "--scale",
    type=click.FloatRange(0, 8, min_open=True),
    help="Of rasters: pixels the backbone sees for one of theirs; 1, or what makes 500 training views, if not given.",
)
@BANDS
@click.option("--crf", is_flag=True, help="Refine masks by the dense CRF: edges follow the image.")
@click.option(
    "--skip-bad", is_flag=True, help="Leave out pictures that cannot be used; without it, any stops the command."
)
@click.option("--cores", type=click.IntRange(1), help="Processor cores to use; all that it may if not given.")
@click.pass_context
def fit(context: click.Context, images: tuple[str, ...], out: Path, class_names: str | None, **options) -> None:
    """Learn --classes clusters from IMAGES (files, folders, quoted globs) without any label, and write their masks.

    OUT gets config.yaml, pictures (links to yours), results of the workflow, and masks as smooseg segment writes them.
    Printed are the folder of masks and overlays, the head, which smooseg segment takes for other images, and with
    --labels the report. The same command goes on where it was stopped; with other options, what they change is done
    again. Said meanwhile is one line for each stage, with bars on a terminal; with --verbose, all that Snakemake says.

    Rasters (as smooseg segment says) are cut into windows at --scale, without a copy of their pixels.

    With --labels, a PNG, TIFF or BMP of class ids of the same name (below subfolders as the masks are) and size as its
    upright image, classes are scored where there is one, and masks show classes: those of --class-names, else the ids
    that the labels hold. With --label-table, a CSV with the columns name and id, colour (#RRGGBB) or r, g and b, other
    ids and colours are classes; rows of one name are one class, and those called void are not scored. There may be
    more or fewer classes than clusters. No label is used in training.

    Example: smooseg fit photos --classes 6 --out work
    """
    from ..pictures.fit import fit_pictures

    names = split_names(class_names) if class_names else None
    fitted = fit_pictures(list(images), out, class_names=names, loudness=context.meta.get("volume"), **options)
    say_masks(context, fitted.outcome, fitted.masks)
    if fitted.scored and context.meta.get("volume") != "quiet":
        click.echo(f"{fitted.scored} of {len(fitted.outcome.shares)} pictures have a label and were scored", err=True)
    for path in filter(None, (fitted.masks, fitted.head, fitted.report)):
        click.echo(path)
    if context.meta.get("volume") != "quiet":
        say_next(images, fitted.head, out)
    require_all(fitted.outcome)


def say_next(images: tuple[str, ...], head: Path, out: Path) -> None:
    """Print what can be done with a fitted head, as commands to type."""
    given = shlex.join(images) if len(images) <= FEW else f"{shlex.join(images[:1])} …"
    fitted, named, more = (shlex.quote(str(path)) for path in (head, out / "named", out / "more"))
    click.echo("What to do next:", err=True)
    for what, command in (
        ("look at the clusters, name them", f"smooseg gallery {fitted}"),
        ("masks with these names", f"smooseg segment {given} --head {fitted} --out {named} --names names.csv"),
        ("masks of other pictures", f"smooseg segment MORE --head {fitted} --out {more}"),
    ):
        click.echo(f"  {what}:\n    {command}", err=True)


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
    """Write an HTML page on which the clusters of HEAD are looked at and named.

    It shows of each cluster its colour, its share, typical patches and pictures, from IMAGES (files, folders, quoted
    globs) or, after smooseg fit, those that HEAD was fitted on; up to 200 of them. There one types names, merges
    clusters by equal names, marks void, and saves names.csv for --names of segment and fit. The page needs no server.

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


def split_names(text: str) -> list[str]:
    """Names of classes between commas.

    Raises:
        SmoosegError: If one is empty or no text, or stands twice.
    """
    require_text(text)
    names = [name.strip() for name in text.split(",")]
    for i, name in enumerate(names):
        if not name:
            raise SmoosegError(f"--class-names {text!r}: the name of id {i} is empty; each id needs one")
        if name in names[:i]:
            raise SmoosegError(
                f"--class-names {text!r}: {name} is the name of ids {names.index(name)} and {i}; keep one"
            )
    return names


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
