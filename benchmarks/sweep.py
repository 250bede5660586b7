"""What a sweep costs beside its training: warm starts against a process for each job, and Snakemake's own time.

CPU seconds of all processes of a run, on 40 drawn views: a sweep of k-means, whose work takes a fraction of a second,
and one of SmooSeg against its training jobs. Not part of `make bench`, since it takes five to ten minutes.
"""

import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml

from benchmarks.common import row
from smooseg.settings.shipped import shipped_path

REAP_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER: what a run leaves becomes ours to wait for, and so counts
SCENES = {
    "layout": "folder",
    "path": "small",
    "classes": ["sky", "water", "grass", "tree", "building", "road"],
    "generate": {"train": 40, "val": 20},
    "train": {"split": "train", "crops": "whole", "size": 224},
    "eval": {"split": "val", "crops": "whole", "size": 224},
}
BATCHES = [256, 512, 1024, 2048]
SWEEPS = {  # experiment, settings, seeds
    "few": ("kmeans", {"epochs": [1, 2, 3, 4, 5, 6], "kmeans_batch": BATCHES}, 1),
    "many": ("kmeans", {"epochs": [*range(1, 16)], "kmeans_batch": BATCHES}, 6),
    "trained": ("smooseg", {"b1": [0.0, 0.1], "b2": [0.4, 0.6], "steps": 600}, 1),
}
SMALL = {"kmeans": {"samples": 1000}, "smooseg": {}}


class Cost(NamedTuple):
    """CPU seconds of a run: all of it, and Snakemake's process alone; and how many jobs it had."""

    whole: float
    snakemake: float
    jobs: int


def configuration() -> dict:
    """config.yaml of the runs."""
    entry = {"dataset": "small", "backbone": "dinov2_s14_focus"}
    return {
        "run": "sweep",
        "evaluate": ["raw"],
        "runs": {"sweep": {"sweeps": list(SWEEPS)}},
        "datasets": {"small": SCENES},
        "experiments": {f"small_{head}": entry | {"head": head, "settings": SMALL[head]} for head in SMALL},
        "sweeps": {
            name: {"title": name, "experiment": f"small_{head}", "settings": settings, "seeds": list(range(seeds))}
            for name, (head, settings, seeds) in SWEEPS.items()
        },
    }


def run_workflow(folder: Path, *targets: str, **config) -> Cost:
    """Run targets of the workflow, and wait for every process that this started."""
    command = [sys.executable, "-m", "snakemake", "--cores=2", "--snakefile", str(shipped_path("Snakefile")), *targets]
    command += ["--config", *(f"{key}={json.dumps(value)}" for key, value in config.items())] if config else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(folder / "log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    own = wait(process.pid)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs = (folder / "log").read_text("utf-8").count("Finished jobid")
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, own, jobs)


def wait(process: int) -> float:
    """CPU seconds of a process without those that it started, once it has ended."""
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(") ")[2].split()
    _, status = os.waitpid(process, 0)
    if status:
        raise RuntimeError("the run failed; see its log")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def forget(folder: Path) -> None:
    """Remove what sweeps made, and keep the caches."""
    for name in "experiments", "sweeps", "figures":
        shutil.rmtree(folder / "results" / name, ignore_errors=True)


def recorded(folder: Path, rule: str) -> float:
    """CPU seconds that the jobs of a rule recorded of their own work."""
    files = (folder / "results" / "benchmarks" / "rules" / rule).rglob("*.tsv")
    return sum(pd.read_csv(file, sep="\t")["cpu_time"].iloc[0] for file in files)


def run() -> list[dict]:
    """Rows: a point of k-means, warm against cold; Snakemake's time a job; a sweep of SmooSeg against its training."""
    ctypes.CDLL(None).prctl(REAP_ORPHANS, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(yaml.safe_dump(configuration()), "utf-8")
        run_workflow(folder, "features", "results/labels/small/dinov2_s14_focus/eval.zarr/complete.json")
        points = len(BATCHES) * 6
        cost = {}
        for warm in (True, False):
            forget(folder)
            cost[warm] = run_workflow(folder, "few", warm_starts=warm)
        forget(folder)
        many = run_workflow(folder, "many")
        forget(folder)
        shutil.rmtree(folder / "results" / "benchmarks")
        trained = run_workflow(folder, "trained")
        steps = recorded(folder, "train_head")
    few = cost[True]
    warm, cold = few.whole / points, cost[False].whole / points
    each = [one.snakemake / one.jobs for one in (few, many)]
    growth = (many.snakemake - few.snakemake) / (many.jobs - few.jobs)
    return [
        row(
            f"a point of k-means of {points}, warm against a process a job (CPU s)",
            warm,
            cold,
            warm / cold,
            "lower",
            0.2,
        ),
        row(
            f"Snakemake's process, a job: {many.jobs} against {few.jobs} (CPU s)",
            *each[::-1],
            each[1] / each[0],
            "lower",
            1.5,
        ),
        row("Snakemake's process, each further job (CPU s)", growth, 0.3, growth / 0.3, "lower", 1),
        row(
            "a sweep of SmooSeg against its training (CPU s)", trained.whole, steps, trained.whole / steps, "lower", 1.1
        ),
    ]
