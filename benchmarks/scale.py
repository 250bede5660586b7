"""The workflow at COCO-Stuff's number of files, with a backbone that takes no time: what grows faster than the data.

``python -m benchmarks.scale --images 1183 11829 118287 --folder /scratch`` makes a data set of so many training images
below the folder, a share of COCO-Stuff's 2175 evaluation images and a random ViT of which one block is used, runs the
workflow by phases, and prints a table of stages for each size and how each stage grows to the next size. Images are
hard links of a few photographs; scores mean nothing. What follows ``--`` goes to Snakemake. Phases that are finished
are not run again, and ``stages.csv`` keeps their times. ``python -m benchmarks scale`` compares a tenth with the whole.

Not part of `make bench`, since the whole takes half an hour.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from benchmarks.common import row
from benchmarks.sets import folder_entry
from benchmarks.start import IMAGES as COCOSTUFF
from smooseg.images.datasets import open_dataset
from smooseg.images.datasets.base import VOID
from smooseg.images.datasets.cocostuff27 import SPLITS
from smooseg.results.timing import stage_times
from smooseg.settings.files import read_catalogue
from smooseg.settings.shipped import shipped_path

IMAGES, EVALUATED = COCOSTUFF.values()
PHOTOGRAPHS = Path("../shared/data/landcover")
SIDE = 320  # pixels, at most, of the copies that are linked: decoding is to take milliseconds
SPREAD = 30  # between label ids, so that the photographs' few classes become classes of COCO-Stuff
MODEL, STEPS, JOBS, BUDGET = "test_vit", 200, 4, 0.01  # BUDGET: GB of features, so that caches are streamed
EXPERIMENTS = {"kmeans": {}, "smooseg_plus": {}, "smooseg": {"steps": STEPS}}  # by head, the rest being defaults
PHASES = {"index": ["results/manifests/coco/train.parquet", "results/manifests/coco/eval.parquet"]} | {
    phase: [phase] for phase in ("features", "train", "evaluate", "tables")
}
FILES = {  # what stages leave below results
    "index_views": "manifests",
    "extract_features": "features",
    "train_head": "experiments/*/*/h*",
    "read_labels": "labels",
    "predict_labels": "experiments/*/*/raw.zarr",
}
LOOK = 0.2  # seconds between two looks at the processes
SCRIPT = re.compile(r"tmp\w+\.(\w+)\.py$")  # Snakemake's copy of a rule's script


def configuration() -> dict:
    """config.yaml of the rehearsal: COCO-Stuff's entry with small views, and heads with few steps."""
    entry = read_catalogue()["datasets"]["cocostuff27"]
    dataset = entry | {
        "path": "coco",
        "train": entry["train"] | {"size": 64},  # 16 patches
        "eval": entry["eval"] | {"size": 160},
    }
    weights = {"source": "file", "path": "weights.safetensors"}
    heads = {
        head: {"dataset": "coco", "backbone": "one_block", "head": head, "settings": settings}
        for head, settings in EXPERIMENTS.items()
    }
    return {
        "run": "scale",
        "data_root": ".",
        "evaluate": ["raw"],
        "extract": {"jobs": JOBS},
        "train": {"memory_gb": BUDGET},
        "runs": {"scale": {"experiments": list(heads)}},
        "experiments": heads,
        "datasets": {"coco": dataset},
        "backbones": {"one_block": {"model": MODEL, "weights": weights, "block": 0, "norm": False}},
    }


def link_images(root: Path, split: str, images: int, entries: list, source: Path) -> None:
    """Make a split of hard links of photographs and their labels, and its list, which comes last."""
    folder, listing = SPLITS[split]
    names = [f"{number:012d}" for number in range(images)]
    for kind in ("images", "annotations", "curated"):
        (root / kind / folder).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        paths = [root / "images" / folder / f"{name}.jpg", root / "annotations" / folder / f"{name}.png"]
        if number < len(entries):
            small_copies(source, entries[number], *paths)
        else:
            for path in paths:
                path.unlink(missing_ok=True)
                os.link(path.with_stem(names[number % len(entries)]), path)
    (root / "curated" / folder / f"{listing}.txt").write_text("\n".join(names), "utf-8")


def small_copies(source: Path, entry, image_path: Path, label_path: Path) -> None:
    """Write a photograph and its label, at most :data:`SIDE` pixels wide and high."""
    with Image.open(source / entry.image) as image, Image.open(source / entry.label) as label:
        image.thumbnail((SIDE, SIDE))
        image.convert("RGB").save(image_path, quality=90)
        ids = np.asarray(label.resize(image.size, Image.Resampling.NEAREST))
        Image.fromarray(np.where(ids == VOID, VOID, SPREAD * ids).astype(np.uint8)).save(label_path)


def make_project(folder: Path, images: int, photographs: Path) -> None:
    """Write data set, checkpoint and config.yaml, unless they are there."""
    if (folder / "config.yaml").exists():
        return
    source = open_dataset({"root": str(photographs)} | folder_entry("", []))
    evaluated = max(1, round(images * EVALUATED / IMAGES))
    for split, number in ("train", images), ("val", evaluated):
        link_images(folder / "coco", split, number, source.entries(split)[:number], photographs)
    torch.manual_seed(0)
    save_file(timm.create_model(MODEL, num_classes=0).state_dict(), folder / "weights.safetensors")
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration()), "utf-8")


def snakemake(folder: Path, *arguments: str) -> tuple[float, pd.DataFrame]:
    """Run the workflow in a folder.

    Returns:
        Seconds it took; by rule, and for "snakemake" itself, cpu_s (of all its jobs) and memory_mb (of the largest).
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", shipped_path("Snakefile"), "--quiet", *arguments]
    began, seen = time.perf_counter(), {}
    process = psutil.Popen(list(map(str, command)), cwd=folder)
    while process.poll() is None:
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error, OSError):  # it has ended
                script = next(filter(None, map(SCRIPT.search, one.cmdline())), None)
                used = one.cpu_times()
                seen[one.pid] = script[1] if script else "snakemake", used.user + used.system, high_water(one.pid)
        time.sleep(LOOK)
    if process.returncode:
        raise SystemExit(f"the workflow failed in {folder}")
    found = pd.DataFrame(seen.values(), columns=["stage", "cpu_s", "memory_mb"])
    return time.perf_counter() - began, found.groupby("stage").agg({"cpu_s": "sum", "memory_mb": "max"})


def high_water(pid: int) -> float:
    """Peak resident memory of a process so far (MB); Snakemake's own figure is a sample every 30 s."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("utf-8"))
    return int(found[1]) / 1024 if found else 0


def measure(folder: Path, images: int, photographs: Path, extra: list[str]) -> pd.DataFrame:
    """Run the workflow on so many training images.

    Returns:
        By stage: jobs; their seconds, amount and its unit, as :func:`smooseg.results.timing.stage_times` has them;
        cpu_s, and rate (units in one of them); memory_mb; files and folders written. Stages "start" (a dry run) and
        "phase …" are Snakemake itself.
    """
    table = folder / "stages.csv"
    if table.exists():
        return pd.read_csv(table, index_col="stage")
    folder.mkdir(parents=True, exist_ok=True)
    make_project(folder, images, photographs)
    seconds, used = snakemake(folder, "--dry-run", *extra)
    walls, usage = [used.loc["snakemake"].to_dict() | {"stage": "start", "seconds": seconds}], []
    for phase, targets in PHASES.items():
        seconds, used = snakemake(folder, "--cores", "all", *extra, "--", *targets)
        walls.append(used.loc["snakemake"].to_dict() | {"stage": f"phase {phase}", "seconds": seconds})
        usage.append(used)
    results, config = folder / "results", configuration()
    stages = stage_times(results, {*config["datasets"], *config["backbones"], *EXPERIMENTS}, config["experiments"])
    stages = stages.set_index("rule").rename_axis("stage")[["jobs", "seconds", "amount", "unit"]]
    stages = stages.join(pd.concat(usage).groupby("stage").agg({"cpu_s": "sum", "memory_mb": "max"}))
    stages["rate"] = (stages["amount"] / stages["cpu_s"]).where(stages["unit"] != "")
    stages["files"] = pd.Series({stage: count_files(results, pattern) for stage, pattern in FILES.items()})
    found = pd.concat([pd.DataFrame(walls).set_index("stage"), stages])
    found.to_csv(table)
    return found


def count_files(results: Path, pattern: str) -> int:
    """Files and folders at and below what a pattern finds."""
    found = list(results.glob(pattern))
    return len(found) + sum(len(names) for path in found for _, *kinds in os.walk(path) for names in kinds)


def growth(small: pd.DataFrame, large: pd.DataFrame, factor: float) -> list[dict]:
    """Rows of what a stage takes of a data set ``factor`` times as large: 1 is in proportion, less is better."""
    units = {"cpu_s": "s of CPU time", "memory_mb": "MB", "files": "files and folders"}
    return [
        row(f"{stage} ({units[key]})", value, small[key][stage], value / small[key][stage] / factor, "lower")
        for key in units
        for stage, value in large[key].dropna().items()
        if small[key].get(stage, 0) > 0
    ]


def rehearse(folder: Path, sizes: list[int], photographs: Path, extra: list[str]) -> list[dict]:
    """Print the stages of every size; rows of how they grow from each to the next."""
    rows, before = [], None
    for images in sizes:
        found = measure(folder / str(images), images, photographs, extra)
        print(f"\n{images} training images\n{found.to_string(na_rep='', float_format='{:.4g}'.format)}", flush=True)
        if before is not None:
            rows += growth(before[1], found, images / before[0])
        before = images, found
    return rows


def run() -> list[dict]:
    """What a tenth of COCO-Stuff and all of it take, below a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        return rehearse(Path(folder), [IMAGES // 10, IMAGES], PHOTOGRAPHS, [])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[IMAGES // 10, IMAGES], help="training images")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "scale", help="a folder for each")
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS, help="labelled, in the folder layout")
    parser.add_argument("snakemake", nargs="*", help="options of Snakemake, after --")
    options = parser.parse_args()
    rows = rehearse(options.folder.absolute(), options.images, options.photographs, options.snakemake)
    print(f"\nagainst the size before, and in proportion to the data\n{pd.DataFrame(rows).to_string(index=False)}")
