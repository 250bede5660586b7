"""The development sets: labelled folders, and variants of the demo of two to ten classes; their caches."""

import subprocess
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from smooseg.features.store import Store, open_store
from smooseg.images.datasets.base import VOID
from smooseg.images.demo.drawing import draw_kinds
from smooseg.images.demo.scenes import CLASS_OF, KINDS
from smooseg.settings.catalogue import load_catalogue
from smooseg.settings.shipped import shipped_path

BACKBONE, VIEWS = "dinov2_s14_focus", ("train", "eval")
SCENES = {"scenes": 120, "few_scenes": 10}  # training scenes of the data sets that are drawn
VALIDATED, WIDTH, HEIGHT = 40, 480, 360
GROUPS = {  # class of each of the demo's kinds
    "six": CLASS_OF.tolist(),  # the demo itself
    "ten": list(range(len(KINDS))),  # from 1 to 29 % of the pixels
    "four": [0, 1, 2, 2, 3, 3, 2, 2, 3, 3],  # sky, water, plants, built
    "three": [0, 1, 0, 0, 0, 2, 0, 0, 0, 0],  # the rest (81 %), water, road
    "two": [0, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # sky, the rest
    "road": [0, 0, 0, 0, 0, 1, 0, 0, 0, 0],  # the rest (90 %), road
}
DEMOS = [("scenes", name) for name in GROUPS] + [("few_scenes", "six")]


@dataclass(frozen=True)
class Case:
    """One set: whose caches, and which class each id of their labels stands for.

    Args:
        name: What tables call it.
        folder: Results of the workflow, which hold the caches.
        dataset: Name below them.
        groups: Class of each label id.
    """

    name: str
    folder: Path
    dataset: str
    groups: tuple[int, ...]

    @property
    def classes(self) -> int:
        return max(self.groups) + 1

    def features(self, view: str) -> Store:
        """Features of "train" or "eval" views."""
        return open_store(self.folder / "features" / self.dataset / BACKBONE / f"{view}.zarr", {})

    def labels(self, view: str) -> "Grouped":
        """Class ids of the same views."""
        return Grouped(open_store(self.folder / "labels" / self.dataset / BACKBONE / f"{view}.zarr", {}), self.groups)


class Grouped:
    """A label store whose ids are read as the classes they stand for."""

    def __init__(self, store: Store, groups: tuple[int, ...]):
        self.store, self.table = store, np.full(VOID + 1, VOID, np.uint8)
        self.table[: len(groups)] = groups

    def blocks(self, size: int) -> list[tuple[int, int]]:
        """As the store's."""
        return self.store.blocks(size)

    def read(self, start: int, stop: int) -> np.ndarray:
        """uint8 (rows, size, size)."""
        return self.table[self.store.read(start, stop)]


def draw_scenes(folder: Path, scenes: int) -> None:
    """Draw scenes in the folder layout, with ids of their kinds as labels; what is there is kept."""
    for number, split in enumerate(["train"] * scenes + ["val"] * VALIDATED):
        paths = [folder / kind / split / f"{number:06d}.png" for kind in ("images", "labels")]
        if not paths[1].exists():
            for path, pixels in zip(paths, draw_kinds(number, WIDTH, HEIGHT), strict=True):
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


def folder_entry(path: str, classes: list[str]) -> dict:
    """Catalogue entry of a data set in the folder layout, its views being those of the published protocol."""
    views = {
        "train": {"split": "train", "crops": "five", "size": 224},
        "eval": {"split": "val", "crops": "whole", "size": 320},
    }
    return {"layout": "folder", "path": path, "classes": classes, **views}


def find_datasets(folder: Path) -> dict[str, dict]:
    """Catalogue entries of the labelled data sets below a folder.

    They are those of the shipped catalogue that lie there, and folders whose README.md has a line ``classes: a, b``.
    """
    catalogue = load_catalogue()["datasets"]
    drawn = {name for name, entry in catalogue.items() if entry["generate"]}
    found = {name: catalogue[name] for name in catalogue.keys() - drawn if (folder / catalogue[name]["path"]).is_dir()}
    for readme in folder.glob("*/README.md"):
        lines = [line for line in readme.read_text("utf-8").splitlines() if line.startswith("classes: ")]
        if lines and (readme.parent / "labels").is_dir():
            found[readme.parent.name] = folder_entry(readme.parent.name, lines[0].removeprefix("classes: ").split(", "))
    return dict(sorted(found.items()))


def make_caches(datasets: dict[str, dict], data: Path, out: Path, precision: str) -> None:
    """Run the workflow as far as the features and labels of some data sets; what is there is kept."""
    listed = out / "suite.yaml"
    changes = {"data_root": str(data.absolute()), "results": str(out.absolute()), "extract": {"precision": precision}}
    listed.write_text(yaml.safe_dump(changes | {"datasets": datasets}), "utf-8")
    folders = [out.absolute() / "labels" / name / BACKBONE for name in datasets]
    wanted = [folder / f"{view}.zarr/complete.json" for folder, view in product(folders, VIEWS)]
    options = ["--cores", "all", "--quiet", "--configfile", listed.absolute(), "--", *wanted]
    subprocess.run(
        [sys.executable, "-m", "snakemake", *map(str, options)], cwd=shipped_path("Snakefile").parent, check=True
    )


def find_cases(data: Path, out: Path, precision: str) -> list[Case]:
    """Every set, its caches made where they are not there."""
    datasets = find_datasets(data)
    cases = [Case(name, out, name, tuple(range(len(entry["classes"])))) for name, entry in datasets.items()]
    for name, scenes in SCENES.items():
        draw_scenes(out / "drawn" / name, scenes)
        datasets[name] = folder_entry(str((out / "drawn" / name).absolute()), KINDS)
    make_caches(datasets, data, out, precision)
    return cases + [Case(f"{dataset}, {name}", out, dataset, tuple(GROUPS[name])) for dataset, name in DEMOS]
