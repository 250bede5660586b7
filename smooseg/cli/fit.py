"""``smooseg fit``: from people's own pictures to a head and masks."""

import shlex
from pathlib import Path
from typing import Any

import click
import yaml

from ..errors import SmoosegError
from ..running.files import require_text
from ..settings.choices import BACKBONE, HEAD, blind_heads, choose
from ..settings.renamed import head_name
from .pictures import BANDS, FILE, IMAGES, NAMES, OUT, require_all, say_masks

FORMER, NOW = "--classes", "--clusters"  # names of an option
FEW = 3  # pictures, folders and globs that are typed out again in an advice


class HeadName(click.ParamType):
    """A head that is trained without labels, ours or of another package; they are looked for when somebody asks."""

    name = "head"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(blind_heads())}]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        value = head_name(value)
        if value not in (names := blind_heads()):
            self.fail(f"{value!r} is not one of {', '.join(map(repr, names))}.", param, ctx)
        return value


class Renamed(click.Command):
    """A command that takes an option under its former name, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [NOW + a[len(FORMER) :] if a.split("=")[0] == FORMER else a for a in args])


@click.command(cls=Renamed)
@IMAGES
@click.option(
    "--clusters",
    type=click.IntRange(2, 255),
    help="How many clusters to find. Default: chosen from the pictures.",
)
@OUT
@click.option(
    "--labels",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of labels, for scores only.",
)
@click.option("--label-table", type=FILE, help="CSV of what ids or colours in --labels are: name, id, colour.")
@click.option("--class-names", help="Names of the label ids 0, 1, …, separated by commas.")
@click.option(
    "--void", type=click.IntRange(0, 255), default=255, show_default=True, help="Label id that is not scored."
)
@click.option(
    "--head",
    type=HeadName(),
    default=HEAD,
    show_default=True,
    help="Method; smooseg heads lists them.",
)
@click.option(
    "--preset",
    help="A named set of settings: released (the authors') or small (a few minutes on a CPU).",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=lambda context, option, texts: dict(map(split_setting, texts)),
    help="A setting of the head; smooseg heads lists them. Repeat the option for more settings.",
)
@click.option("--steps", type=click.IntRange(1), help="Training steps; short for --set steps=…. Some heads have none.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the training.")
@click.option(
    "--backbone",
    default=BACKBONE,
    show_default=True,
    help="Frozen network; smooseg backbones lists them.",
)
@NAMES
@click.option(
    "--scale",
    type=click.FloatRange(0, 8, min_open=True),
    help="Rasters only: pixels that the backbone sees for one pixel. Default: 1, or less for large rasters.",
)
@BANDS
@click.option("--crf", is_flag=True, help="Refine masks by the dense CRF: edges follow the image.")
@click.option(
    "--skip-bad",
    is_flag=True,
    help="Leave out pictures that cannot be used. Otherwise, one of them stops the command.",
)
@click.option("--cores", type=click.IntRange(1), help="Processor cores to use. Default: all.")
@click.pass_context
def fit(context: click.Context, images: tuple[str, ...], out: Path, **options) -> None:
    """Find clusters in IMAGES without labels, and write a mask for each image.

    IMAGES are files, folders or quoted globs. The command writes below OUT: config.yaml, pictures (links to yours),
    results (of the workflow) and masks (as smooseg segment writes them). It prints the folder of masks, the file of
    the head, and with --labels the report. Give the head to smooseg segment for other images.

    The same command continues where it was stopped. With other options, it repeats only what they change. While it
    runs, it prints one line for each stage; with --verbose, it prints everything that Snakemake says.

    Without --clusters, a smooseg_plus head chooses a number, and a line says why. smooseg segment --clusters shows
    other numbers of the same head, without a new fit.

    With --labels, images that have a label are scored, and masks show classes instead of clusters. Labels take no part
    in training. A label is a PNG, TIFF or BMP of class ids, with the name and the size of its image. Images in
    subfolders have their labels in the same subfolders. There may be more classes than clusters, or fewer.

    A label table is a CSV with a column name and either id, colour (#RRGGBB), or r, g and b. Rows with the same name
    are one class. Rows with the name void are not scored.

    Rasters (see smooseg segment) are read in windows at --scale. Their pixels are not copied.

    Example: smooseg fit photos --clusters 6 --out work
    """
    from ..pictures.fit import fit_pictures, require_own, require_workflow
    from ..pictures.sets import Labels, find_set

    require_workflow()
    require_own(out)
    names, steps = options.pop("class_names"), options.pop("steps")
    given = options.pop("settings") | ({} if steps is None else {"steps": steps})
    labels = Labels(options.pop("labels"), split_names(names) if names else None, *take(options, "label_table", "void"))
    pictures = find_set(list(images), out, labels, *take(options, "scale", "bands"))
    named = {key: options.pop(key) for key in ("head", "clusters", "backbone", "preset", "seed")}
    choice = choose(settings=given, **named)
    fitted = fit_pictures(pictures, choice, out, loudness=context.meta.get("volume"), **options)
    say_masks(context, fitted.outcome, fitted.masks)
    if fitted.scored and context.meta.get("volume") != "quiet":
        click.echo(f"{fitted.scored} of {len(fitted.outcome.shares)} pictures have a label and were scored", err=True)
    for path in filter(None, (fitted.masks, fitted.head, fitted.report)):
        click.echo(path)
    if context.meta.get("volume") != "quiet":
        if fitted.advice:
            click.echo(fitted.advice, err=True)
        say_next(images, fitted.head, out)
    require_all(fitted.outcome)


def take(options: dict, *names: str) -> list:
    """Options that go elsewhere than the others, in order."""
    return [options.pop(name) for name in names]


def split_setting(text: str) -> tuple[str, Any]:
    """Key and value of a setting, which is read as in config.yaml.

    Raises:
        SmoosegError: If there is no key or no value.
    """
    key, equals, value = text.partition("=")
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        equals = ""
    if not (key.strip() and equals and value.strip()):
        raise SmoosegError(f"--set {text!r}: give a setting and its value, as --set steps=500")
    return key.strip(), read


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
