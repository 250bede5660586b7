"""From somebody's pictures to masks without a head: what ``smooseg fit`` does, through the workflow."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from ..errors import SmoosegError, raise_listed
from ..images.datasets import VOID, open_dataset
from ..running.files import whole
from ..running.jobs import LEVEL
from ..running.machine import cache_variables, interpreter_problem, usable_cores
from ..running.processes import run_attended
from ..settings.catalogue import find_backbone
from ..settings.config import resolve
from ..settings.shipped import PACKAGE, shipped
from .label_table import read_label_table
from .linking import (
    CROPS,
    SCORED,
    SIZE,
    TRAIN,
    check_pictures,
    find_labels,
    label_classes,
    place_pictures,
    raster_settings,
)
from .output.stale import remove_other_masks
from .photos import Photo, find_photos
from .segment import BATCH, Outcome, segment_photos
from .segmenter import Segmenter

CONFIG, DATASET, MASKS = "config.yaml", "pictures", "masks"  # what lies in the folder, beside the workflow's results
HEADER = "# Written by smooseg fit. To run the workflow from here: snakemake --cores all --snakefile"
STANDARD_ERROR = 2  # its file descriptor
# Snakemake says stages alone; that it takes a profile it would say, too, so what the profile sets stands here
STAGES = ("--logger", "smooseg", "--workflow-profile", "none", "--rerun-incomplete", "--nolock")


@dataclass(frozen=True)
class Fitted:
    """What :func:`fit_pictures` made.

    Args:
        head: The fitted head.
        masks: Folder of masks and overlays.
        report: The workflow's report; None without labels.
        outcome: Shares of the masks, and pictures without one.
        scored: Number of pictures that have a label.
    """

    head: Path
    masks: Path
    report: Path | None
    outcome: Outcome
    scored: int


def make_config(
    classes: int,
    names: list[str],
    void: int,
    meanings: dict,
    head: str,
    backbone: str,
    steps: int | None,
    seed: int,
    crf: bool,
    called: Path | None,
    rasters: dict,
) -> dict:
    """A configuration of one experiment on the pictures of its folder; ``rasters`` is empty without any.

    Raises:
        SmoosegError: If a name is unknown, or the head has no steps.
    """
    name, settings = find_backbone(backbone)
    weights = settings["weights"]
    if weights["path"]:
        settings = settings | {"weights": weights | {"path": str(Path(weights["path"]).absolute())}}
    experiment = {"dataset": DATASET, "backbone": name, "head": head, "clusters": classes}
    experiment |= {"names": str(called.absolute())} if called else {}
    config = {
        "run": "fit",
        "data_root": ".",
        "runs": {"fit": {"experiments": [head], "seeds": [seed]}},
        "experiments": {head: experiment | {"settings": {} if steps is None else {"steps": steps}}},
        "datasets": {
            DATASET: {
                "layout": "raster" if rasters else "folder",
                "path": DATASET,
                "classes": names or [f"class {i}" for i in range(classes)],
                "void": void,
                "labels": meanings,
                "settings": rasters,
                "resample": "bilinear",  # averages photographs down; nearest would sample them
                "train": {"split": TRAIN, "crops": CROPS, "size": SIZE},
                "eval": {"split": SCORED, "crops": "whole", "size": 320},
            }
        },
        "backbones": {name: settings},
        "evaluate": ["raw", "crf"] if crf else ["raw"],
    }
    resolve(config)
    return config


def fit_pictures(
    images: list[str],
    out: Path,
    classes: int,
    *,
    labels: Path | None = None,
    class_names: list[str] | None = None,
    label_table: Path | None = None,
    void: int = VOID,
    head: str = "smooseg_plus",
    backbone: str = "dinov2_s14_focus",
    steps: int | None = None,
    seed: int = 0,
    crf: bool = False,
    cores: int | None = None,
    skip_bad: bool = False,
    names: Path | None = None,
    scale: float | None = None,
    bands: tuple[int, ...] | None = None,
    loudness: str | None = None,
) -> Fitted:
    """Train a head on pictures by the workflow, and write their masks; what is finished already is kept.

    Args:
        images: Image files, folders or globs; what lies below ``out`` is left out.
        out: Folder of its own for everything that is written.
        classes: Number of clusters; there can be more or fewer of them than classes in the labels.
        labels: Folder of label files, under the pictures' names; those that have one are scored.
        class_names: Of the ids 0, 1, …; where they are not given, as many as the labels hold.
        label_table: Names of classes, and their ids or colours, see
            :func:`smooseg.pictures.label_table.read_label_table`.
        void: Id that no score counts.
        head, backbone, steps, seed: What is trained; steps as published if None.
        crf: Whether masks (and scores) are refined by the dense CRF.
        cores: All that this process may use if None.
        skip_bad: Whether pictures that cannot be used are left out, with a warning.
        names: See :class:`smooseg.pictures.segmenter.Segmenter`.
        scale, bands: Of rasters, see :func:`smooseg.pictures.linking.raster_settings`.
        loudness: "quiet", "verbose" or None, see :func:`run_workflow`.

    Raises:
        SmoosegError: If pictures or labels are bad (all are named), or the workflow stops.
    """
    shipped("Snakefile")  # raises if it is missing
    if problem := interpreter_problem():
        raise SmoosegError(problem)
    require_own(out)
    if class_names and not labels:
        raise SmoosegError(
            f"{len(class_names)} names of classes were given: they name the ids of labels, of which none were"
        )
    if label_table and (class_names or not labels):
        raise SmoosegError(f"{label_table}: names the classes of --labels; give those, and no --class-names")
    photos = [replace(photo, bands=bands) for photo in pictures_of(images, out)]
    rasters = raster_settings(photos, scale, bands)
    labelled = find_labels(labels, photos) if labels else {}
    meanings: dict[str, dict[str, list]] = {}
    if label_table:
        classed, meanings = read_label_table(label_table)
    else:
        classed = class_names or (label_classes(labels, list(labelled.values()), void) if labels else [])
    config = make_config(classes, classed, void, meanings, head, backbone, steps, seed, crf, names, rasters)
    cores = cores or usable_cores()
    dataset = open_dataset(config["datasets"][DATASET] | {"root": out / DATASET})
    photos = check_pictures(photos, labelled, dataset, cores, skip_bad)
    labelled = {photo: labelled[photo] for photo in photos if photo in labelled}
    write_config(config, out)
    place_pictures(photos, labelled, dataset.root)
    path = Path("results", "experiments", head, str(seed), "head.safetensors")
    weights = Path("results", "weights", f"{config['experiments'][head]['backbone']}.safetensors")
    run_workflow(out, ["all"] * bool(labels) + [str(path), str(weights)], cores, loudness)
    remove_other_masks(photos, out / MASKS)
    outcome = segment_photos(photos, Segmenter(out / path, crf=crf, names=names), out / MASKS, [], BATCH)
    return Fitted(out / path, out / MASKS, out / "results" / "report.html" if labels else None, outcome, len(labelled))


def require_own(out: Path) -> None:
    """Raise unless a folder is new, empty or of an earlier call."""
    config = out / CONFIG
    if out.exists() and any(out.iterdir()) and not (config.is_file() and config.read_text("utf-8").startswith(HEADER)):
        raise SmoosegError(f"{out}: is neither empty nor of an earlier smooseg fit; give another --out")


def pictures_of(images: list[str], out: Path) -> list[Photo]:
    """Photos that arguments mean, without what lies below the output folder.

    Raises:
        SmoosegError: If an argument means none, or two photos would have masks of one name.
    """
    photos, problems = find_photos(images, without=out)
    raise_listed("These pictures cannot be used", problems)
    photos = [photo for photo in photos if not photo.path.resolve().is_relative_to(out.resolve())]
    if not photos:
        raise SmoosegError(f"no picture was given but those in {out}, which smooseg fit wrote")
    return photos


def write_config(config: dict, out: Path) -> None:
    """Write a configuration with a line that says whose it is."""
    with whole(out / CONFIG) as aside:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        aside.write_text(f"{HEADER} {shipped('Snakefile')}\n{text}", "utf-8")


def run_workflow(folder: Path, targets: list[str], cores: int, loudness: str | None) -> None:
    """Run Snakemake in a folder that holds a configuration.

    Args:
        folder: With its config.yaml.
        targets: Files or rules.
        cores: How many.
        loudness: What is said on standard error: "quiet" nothing, None the stages, "verbose" all that Snakemake says.

    Raises:
        SmoosegError: If it stops.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(shipped("Snakefile")), "--cores", str(cores)]
    command += () if loudness == "verbose" else STAGES
    paths = [str(PACKAGE.parent), str(shipped("workflow/logger")), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | cache_variables(folder / "results" / "cache")
    environment |= {"PYTHONPATH": os.pathsep.join(paths)}  # jobs take this library
    environment |= {} if loudness == "verbose" else {LEVEL: "WARNING"}
    streams = {"stdout": subprocess.PIPE if loudness == "quiet" else STANDARD_ERROR, "stderr": subprocess.STDOUT}
    text = {"encoding": "utf-8", "errors": "replace"}
    status, said = run_attended([*command, "--", *targets], cwd=folder, env=environment, **streams, **text)
    if status:
        raise SmoosegError(f"{folder}: the workflow stopped {why_stopped(folder, said)}")


def why_stopped(folder: Path, said: str | None) -> str:
    """The reason for which Snakemake stopped, from what it said where nobody heard it, and where more is said."""
    logs = folder / "results" / "logs"
    more = f"; {logs} holds what each stage said" if logs.is_dir() else ""
    if said is None:
        return f"for the reason above{more}"
    reasons = re.findall(r"^error: (.*)", said, re.MULTILINE)
    failed = re.findall(r"^failed: .*; its log: (.*)", said, re.MULTILINE)
    return f"({'; '.join(dict.fromkeys(reasons)) or said}){f'; {failed[0]} says more' if failed else more}"
