"""From somebody's pictures to masks without a head: what ``smooseg fit`` does, through the workflow."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..errors import SmoosegError
from ..running.files import hold_folder, write_whole
from ..running.jobs import LEVEL
from ..running.machine import cache_variables, interpreter_problem, usable_cores
from ..running.processes import run_attended
from ..settings.choices import Choice
from ..settings.config import resolve
from ..settings.heads import AUTO
from ..settings.shipped import PACKAGE, shipped_path
from .output.stale import remove_other_masks
from .segment import BATCH, Outcome, segment_photos
from .segmenter import Segmenter
from .sets import DATASET, PictureSet

CONFIG, MASKS = "config.yaml", "masks"  # what lies in the folder, beside the workflow's results
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
        advice: Why the head has its number of clusters, where it chose that.
    """

    head: Path
    masks: Path
    report: Path | None
    outcome: Outcome
    scored: int
    advice: str = ""


def make_config(pictures: PictureSet, choice: Choice, crf: bool, called: Path | None) -> dict:
    """A configuration of one experiment on the pictures of its folder.

    Args:
        pictures: What the head is fitted on, and scored on.
        choice: The head.
        crf: Whether its maps are refined by the dense CRF, too.
        called: CSV of what its clusters are called.

    Raises:
        SmoosegError: If something is unknown.
    """
    settings = dict(choice.entry or {})
    weights = settings["weights"]
    if weights["path"]:
        settings["weights"] = weights | {"path": str(Path(weights["path"]).absolute())}
    experiment = {"dataset": DATASET, "backbone": choice.backbone, "head": choice.head, "clusters": choice.clusters}
    experiment |= {"names": str(called.absolute())} if called else {}
    config = {
        "run": "fit",
        "data_root": ".",
        "runs": {"fit": {"experiments": [choice.head], "seeds": [choice.seed]}},
        "experiments": {choice.head: experiment | {"settings": choice.settings}},
        "datasets": {DATASET: pictures.entry(choice.clusters)},
        "backbones": {choice.backbone: settings},
        "evaluate": ["raw", "crf"] if crf else ["raw"],
    }
    resolve(config)
    return config


def fit_pictures(
    pictures: PictureSet,
    choice: Choice,
    out: Path,
    *,
    crf: bool = False,
    cores: int | None = None,
    skip_bad: bool = False,
    names: Path | None = None,
    loudness: str | None = None,
) -> Fitted:
    """Train a head on pictures by the workflow, and write their masks; what is finished already is kept.

    Args:
        pictures: Those that it is fitted on; a head is scored on those that have a label.
        choice: The head.
        out: Folder of its own for everything that is written.
        crf: Whether masks (and scores) are refined by the dense CRF.
        cores: All that this process may use if None.
        skip_bad: Whether pictures that cannot be used are left out, with a warning.
        names: See :class:`smooseg.pictures.segmenter.Segmenter`.
        loudness: "quiet", "verbose" or None, see :func:`run_workflow`.

    Raises:
        SmoosegError: If pictures or labels are bad (all are named), or the workflow stops.
    """
    config, cores = make_config(pictures, choice, crf, names), cores or usable_cores()
    pictures = pictures.check(choice.clusters, cores, skip_bad)
    with hold_folder(out / "results"):  # the workflow takes it over
        write_config(config, out)
        pictures.link()
    head = Path("results", "experiments", choice.head, str(choice.seed), "head.safetensors")
    weights, scored = Path("results", "weights", f"{choice.backbone}.safetensors"), bool(pictures.labelled)
    run_workflow(out, ["all"] * scored + [str(head), str(weights)], cores, loudness)
    remove_other_masks([photo.mask for photo in pictures.photos], out / MASKS)
    segmenter = Segmenter(out / head, crf=crf, names=names)
    outcome = segment_photos(pictures.photos, segmenter, out / MASKS, [], BATCH)
    report = out / "results" / "report.html" if scored else None
    advice = segmenter.head.advice if choice.clusters == AUTO else ""
    return Fitted(out / head, out / MASKS, report, outcome, len(pictures.labelled), advice)


def require_workflow() -> None:
    """Raise unless the workflow is here and can be run."""
    shipped_path("Snakefile")  # raises if it is missing
    if problem := interpreter_problem():
        raise SmoosegError(problem)


def require_own(out: Path) -> None:
    """Raise unless a folder is new, empty, or of an earlier call, of the command or of the library."""
    config, library = out / CONFIG, out / "results" / "library"
    if not out.exists() or not any(out.iterdir()):
        return
    ours = config.read_text("utf-8").startswith(HEADER) if config.is_file() else library.is_dir()
    if not ours:
        raise SmoosegError(f"{out}: is not empty, and not from an earlier smooseg fit; give another --out")


def write_config(config: dict, out: Path) -> None:
    """Write a configuration with a line that says whose it is."""
    with write_whole(out / CONFIG) as aside:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        aside.write_text(f"{HEADER} {shipped_path('Snakefile')}\n{text}", "utf-8")


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
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(shipped_path("Snakefile")), "--cores", str(cores)]
    command += () if loudness == "verbose" else STAGES
    paths = [str(PACKAGE.parent), str(shipped_path("workflow/logger")), *filter(None, [os.environ.get("PYTHONPATH")])]
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
