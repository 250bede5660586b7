"""What starting costs: a job's imports, and the workflow's look at the files of a data set as large as COCO-Stuff.

CPU seconds, not those of the clock: the least of several runs that take turns.
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml

from benchmarks.common import row
from benchmarks.sets import folder_entry
from smooseg.running.fingerprint import tree_state
from smooseg.settings.shipped import shipped_path

IMAGES = {"train": 118_287, "val": 2_175}  # of COCO-Stuff
FEW = dict.fromkeys(IMAGES, 10)
ROUNDS = 3
EVERY_HEAD = "list(heads.HEADS.values())"  # each of which is imported when it is asked for
SCRIPTS = {"train_head": "heads.find_head('smooseg')", "predict_labels": "heads.find_head('smooseg')"}
RUN = {
    "run": "large",
    "data_root": "data",
    "runs": {"large": {"experiments": ["large"]}},
    "experiments": {"large": {"dataset": "large", "backbone": "dinov2_s14_focus", "head": "kmeans"}},
    "datasets": {"large": folder_entry("large", ["up", "down"])},
}


def cpu_seconds(function: Callable[[], object], who: int) -> float:
    """What this process (RUSAGE_SELF) or those that it starts and waits for (RUSAGE_CHILDREN) spend on a call."""
    before = resource.getrusage(who)
    function()
    after = resource.getrusage(who)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def turns(ours: Callable[[], object], theirs: Callable[[], object], who: int) -> tuple[float, float]:
    """Least CPU seconds of two alternatives that take turns."""
    times = [(cpu_seconds(ours, who), cpu_seconds(theirs, who)) for _ in range(ROUNDS)]
    return tuple(map(min, zip(*times, strict=True)))


def python(code: str) -> None:
    """Run code in an interpreter of its own."""
    subprocess.run([sys.executable, "-c", code], check=True)


def imports(script: str) -> str:
    """What a workflow script imports before its work begins."""
    text = shipped_path(f"workflow/scripts/{script}.py").read_text("utf-8")
    return text.split("\nif __name__")[0] + "\nfrom smooseg import heads\n"


def write_files(folder: Path, images: dict[str, int]) -> None:
    """Empty files in the places of images, and of the labels of ``val``: nothing here opens one."""
    for kind, split in (("images", "train"), ("images", "val"), ("labels", "val")):
        place = folder / "data" / "large" / kind / split
        place.mkdir(parents=True)
        for number in range(images[split]):
            (place / f"{number:012d}.png").touch()
    (folder / "large.yaml").write_text(yaml.safe_dump(RUN), "utf-8")


def dry_run(folder: Path) -> None:
    """``snakemake -n`` in a folder with a data set."""
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "--snakefile", str(shipped_path("Snakefile"))]
    command += ["--configfile", "large.yaml"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def one_by_one(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file, each asked for where it is needed: the way that comes to mind first."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return [(file.as_posix(), file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def run() -> list[dict]:
    """Imports of two jobs against importing every head; files of COCO-Stuff's number, listed and in a dry run."""
    rows = []
    for script, head in SCRIPTS.items():
        found = [partial(python, imports(script) + wanted) for wanted in (head, EVERY_HEAD)]
        ours, theirs = turns(*found, resource.RUSAGE_CHILDREN)
        metric = f"start of {script} with SmooSeg against every head imported (CPU s)"
        rows.append(row(metric, ours, theirs, ours / theirs, "lower", 0.6))
    with tempfile.TemporaryDirectory() as name:
        large, small = Path(name, "large"), Path(name, "small")
        write_files(large, IMAGES)
        write_files(small, FEW)
        data = large / "data"
        ours, theirs = turns(partial(tree_state, [data]), partial(one_by_one, data), resource.RUSAGE_SELF)
        metric = f"state of {sum(IMAGES.values()):,} images and their labels, one pass against one by one (CPU s)"
        rows.append(row(metric, ours, theirs, ours / theirs, "lower", 0.5))
        ours, theirs = turns(partial(dry_run, large), partial(dry_run, small), resource.RUSAGE_CHILDREN)
        metric = f"snakemake -n with {sum(IMAGES.values()):,} images against 20 (CPU s)"
        rows.append(row(metric, ours, theirs, ours / theirs, "lower"))
    return rows
