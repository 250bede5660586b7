"""Labelled data sets below a folder, and their caches."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import yaml

from smooseg.features.store import Store, open_store
from smooseg.settings.catalogue import load_catalogue
from smooseg.settings.shipped import shipped_path

BACKBONE, VIEWS = "dinov2_s14_focus", ("train", "eval")


def features_of(out: Path, dataset: str, view: str) -> Store:
    """The cache of a data set's "train" or "eval" views."""
    return open_store(out / "features" / dataset / BACKBONE / f"{view}.zarr", {})


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
    listed = out / "sets.yaml"
    changes = {"data_root": str(data.absolute()), "results": str(out.absolute()), "extract": {"precision": precision}}
    listed.write_text(yaml.safe_dump(changes | {"datasets": datasets}), "utf-8")
    folders = [out.absolute() / "labels" / name / BACKBONE for name in datasets]
    wanted = [folder / f"{view}.zarr/complete.json" for folder, view in product(folders, VIEWS)]
    options = ["--cores", "all", "--quiet", "--configfile", listed.absolute(), "--", *wanted]
    subprocess.run(
        [sys.executable, "-m", "snakemake", *map(str, options)], cwd=shipped_path("Snakefile").parent, check=True
    )
