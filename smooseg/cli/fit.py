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
    help="Clusters to find: what the masks tell apart; chosen from the pictures if not given.",
)
@OUT
@click.option("--labels", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of label files.")
@click.option("--label-table", type=FILE, help="CSV of what ids or colours in --labels mean: name, id, colour.")
@click.option("--class-names", help="Names of the label ids 0, 1, …, with commas between them.")
@click.option(
    "--void", type=click.IntRange(0, 255), default=255, show_default=True, help="Label id that is not scored."
)
@click.option("--head", type=HeadName(), default=HEAD, show_default=True, help="One of smooseg heads.")
@click.option(
    "--preset",
    help="Settings of the head under a name: released, the authors', or small, for a few minutes of a CPU.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=lambda context, option, texts: dict(map(split_setting, texts)),
    help="A setting of the head, as smooseg heads lists them; again for others.",
)
@click.option("--steps", type=click.IntRange(1), help="Training steps, as --set steps=…; not all heads have some.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the training.")
@click.option("--backbone", default=BACKBONE, show_default=True, help="One of smooseg backbones.")
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
def fit(context: click.Context, images: tuple[str, ...], out: Path, **options) -> None:
    """Learn clusters from IMAGES (files, folders, quoted globs) without any label, and write their masks.

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

    Without --clusters, a smooseg_plus head takes a number that the pictures suggest, and a line says why; smooseg
    segment --clusters cuts it elsewhere.

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
