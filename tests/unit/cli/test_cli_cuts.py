"""Numbers of clusters that nobody gave: ``smooseg fit`` chooses one, and ``smooseg segment`` cuts elsewhere."""

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from smooseg.cli import main
from smooseg.heads.base import read_head
from tests.support.fitting import place as place  # a fixture
from tests.support.segmenting import head as head  # a fixture
from tests.support.segmenting import ids
from tests.support.segmenting import photos as photos  # a fixture

FITTED = "out/results/experiments/smooseg_plus/0/head.safetensors"


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_a_fit_without_a_number_chooses_one_and_can_be_cut_elsewhere(place, capfd):
    shared = ("photos", "--backbone", "tiny", "--out", "out", "--cores", 2)
    result = run("fit", *shared, "--labels", "labels")
    assert result.exit_code == 0, result.output + capfd.readouterr().err
    clusters = read_head(Path(FITTED))[0]["clusters"]
    assert f"recommended: {clusters} clusters: " in result.stderr
    assert result.stdout.split() == ["out/masks", FITTED, "out/results/report.html"]
    fine = clusters + 3
    for number, out in ((fine, "fine"), (2, "coarse")):
        result = run("segment", "photos", "--head", FITTED, "--out", out, "--clusters", number, "--quiet")
        assert result.exit_code == 0, result.output
        with open(f"{out}/legend.csv", encoding="utf-8-sig") as file:
            names = [row["name"] for row in csv.DictReader(file)]
        assert names == [f"cluster {i}" for i in range(number)]
    for path in Path("coarse").rglob("*.png"):
        coarse, finer = ids(path), ids(Path("fine") / path.relative_to("coarse"))
        pairs = np.unique(np.stack([finer.ravel(), coarse.ravel()]), axis=1)
        assert len(pairs[0]) == len(set(pairs[0]))  # each fine cluster lies in one coarse one
    result = run("segment", "photos", "--head", FITTED, "--out", "coarse", "--clusters", 90)
    assert f"{FITTED}: the head holds 2 to 32 clusters, not 90" in result.output


def test_other_heads_need_a_number_and_keep_it(place, tmp_path):
    result = run("fit", "photos", "--head", "kmeans", "--backbone", "tiny", "--out", "out")
    assert result.exit_code == 1
    assert "a kmeans head cannot choose its number of clusters" in result.output
    assert not Path("out").exists()


def test_a_head_without_a_tree_is_cut_nowhere(head, photos, tmp_path):
    result = run("segment", photos, "--head", head, "--out", tmp_path / "m", "--size", 64, "--clusters", 4)
    assert result.exit_code == 1
    assert "the head holds 3 clusters, not 4; fit a smooseg_plus head" in result.output
    assert run("segment", photos, "--head", head, "--out", tmp_path / "m", "--size", 64, "--clusters", 3).exit_code == 0


@pytest.mark.parametrize("option", ["--clusters", "--classes"])
def test_the_option_has_two_names(option):
    assert "is not in the range 2<=x<=255" in run("fit", "photos", option, 1, "--out", "out").output
