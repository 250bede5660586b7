"""Which experiments the suite is made of: heads, presets, data sets that are there, and backbones that heads need."""

import copy
from functools import cache
from pathlib import Path

import pytest

from smooseg.errors import SmoosegError
from smooseg.heads import HEADS
from smooseg.settings.config import resolve
from smooseg.settings.suite import suite_experiments
from tests.conftest import shipped_config, write_images

OWN = {
    "layout": "folder",
    "path": "mine",
    "classes": ["up", "down"],
    "train": {"split": "train", "crops": "five", "size": 32},
    "eval": {"split": "val", "crops": "whole", "size": 64},
}


@cache
def base() -> dict:
    """The shipped configuration with a data set "mine"; nobody may change it."""
    config = shipped_config()
    config["datasets"]["mine"] = OWN
    return resolve(config)


def resolved(root: Path, suite: dict | None = None, **changes) -> dict:
    """That configuration with another folder of data sets and another suite."""
    config = copy.deepcopy(base())
    return config | changes | {"data_root": str(root), "suite": config["suite"] | (suite or {})}


def fill(folder: Path, *missing: str) -> None:
    """Write the pictures and labels of a data set of the folder layout, without some of its folders."""
    write_images(folder, "train", 1)
    write_images(folder, "val", 1)
    for name in missing:
        for path in (folder / name).iterdir():
            path.unlink()
        (folder / name).rmdir()


def members(config: dict, key: str) -> list[str]:
    """What the suite of a configuration holds of a kind, each once and in its order."""
    return list(dict.fromkeys(member[key] for member in suite_experiments(config).values()))


def test_without_data_the_suite_is_every_head_on_the_demo_and_the_ceiling_is_last(tmp_path):
    config = resolved(tmp_path)
    found = suite_experiments(config)
    assert {member["dataset"] for member in found.values()} == {"demo"}
    assert sorted(member["head"] for member in found.values()) == sorted(HEADS)
    assert list(found.values())[-1] == {"dataset": "demo", "head": "linear", "preset": "default"}
    assert {member["preset"] for member in found.values()} == {"small", "default"}
    assert {config["experiments"][name]["clusters"] for name in found} == {6}


def test_data_sets_join_when_their_pictures_and_labels_are_there(tmp_path):
    fill(tmp_path / "mine")
    assert members(resolved(tmp_path), "dataset") == ["demo", "mine"]


@pytest.mark.parametrize("missing", ["images/train", "images/val", "labels/val"])
def test_a_data_set_that_lacks_a_part_stays_out(tmp_path, missing):
    fill(tmp_path / "mine", missing)
    assert members(resolved(tmp_path), "dataset") == ["demo"]


def test_without_labels_for_training_there_is_no_ceiling(tmp_path):
    fill(tmp_path / "mine", "labels/train")
    found = suite_experiments(resolved(tmp_path)).values()
    assert {member["head"] for member in found if member["dataset"] == "mine"} == set(HEADS) - {"linear"}


def test_large_published_sets_belong_to_it_when_they_are_named(tmp_path):
    config = resolved(tmp_path)
    assert {name for name, entry in config["datasets"].items() if not entry["suite"]} == {
        *("cityscapes", "cocostuff27", "potsdam3", "potsdam3_320")
    }
    named = resolved(tmp_path, suite_datasets=["cocostuff27", "mine"])
    assert members(named, "dataset") == ["cocostuff27", "mine"]  # a run says what of them is missing


def test_what_a_run_fetches_will_be_there(tmp_path):
    config = resolved(tmp_path)
    assert members(config, "dataset") == ["demo"]
    fetched = {"camvid", "crops", "drone", "facade", "roads"}  # which the catalogue has sources of
    assert set(members(config | {"fetch": True}, "dataset")) == {"demo", *fetched}


def test_heads_are_those_that_are_named(tmp_path):
    assert members(resolved(tmp_path, suite_heads=["linear", "kmeans"]), "head") == ["kmeans", "linear"]


def test_heads_get_the_entry_of_the_backbone_that_they_need(tmp_path):
    config = resolved(tmp_path, suite={"backbone": "dinov2_s14"}, suite_heads=["kmeans", "eagle", "ppap"])
    chosen = {
        member["head"]: config["experiments"][name]["backbone"] for name, member in suite_experiments(config).items()
    }
    assert chosen == {"kmeans": "dinov2_s14", "eagle": "dinov2_s14_keys", "ppap": "dinov2_s14_entering"}
    assert config["backbones"]["dinov2_s14_keys"]["features"] == "keys"  # which the catalogue does not have
    catalogue = resolved(tmp_path)
    before = copy.deepcopy(catalogue["backbones"])
    suite_experiments(catalogue)
    assert catalogue["backbones"] == before  # which has those of the default


def test_presets_are_rows_of_their_own_and_equal_ones_count_once(tmp_path):
    config = resolved(tmp_path, suite={"presets": ["small", "default"]}, suite_heads=["kmeans", "smooseg"])
    found = suite_experiments(config)
    assert [(member["head"], member["preset"]) for member in found.values()] == [
        ("kmeans", "small"),  # its default is the same
        ("smooseg", "small"),
        ("smooseg", "default"),
    ]
    steps = [config["experiments"][name]["settings"].get("steps") for name in found]
    assert steps[1:] == [600, 3000]


def test_an_experiment_that_is_there_is_taken_and_others_get_a_name_of_the_suite(tmp_path):
    config = resolved(tmp_path, suite_heads=["kmeans", "eagle"])
    assert list(suite_experiments(config)) == ["demo_kmeans", "suite@demo,eagle,small"]  # demo_eagle has 7 clusters
    config["experiments"]["demo_kmeans"]["names"] = "merged.csv"
    assert "demo_kmeans" not in suite_experiments(config)
    changed = resolved(tmp_path, suite_heads=["kmeans"])
    changed["experiments"]["demo_kmeans"]["settings"]["samples"] = 5
    assert list(suite_experiments(changed)) == ["suite@demo,kmeans,small"]


def test_settings_follow_the_backbone_as_those_of_other_experiments_do(tmp_path):
    config = resolved(tmp_path, suite_heads=["smooseg"], suite={"presets": ["released"]})
    (name,) = suite_experiments(config)
    twin = {"dataset": "demo", "backbone": "dinov2_s14_focus", "head": "smooseg", "preset": "released"}
    again = shipped_config()
    again["experiments"]["twin"] = twin
    assert config["experiments"][name] == resolve(again)["experiments"]["twin"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"suite": {"presets": ["smal"]}},
            r"config: suite\.presets names 'smal', known: default, .*did you mean small",
        ),
        ({"suite": {"backbone": "dinov2"}}, r"config: suite\.backbone names 'dinov2', known: dinov2_s14_focus"),
        (
            {"suite": {"backbone": "dinov2_s14_focus_keys"}, "suite_heads": ["kmeans", "hp"]},
            "config: suite: head hp needs a backbone whose entry says features: tokens, and dinov2_s14_focus_keys says keys",
        ),
    ],
)
def test_what_the_suite_cannot_take_is_one_sentence(tmp_path, changes, message):
    with pytest.raises(SmoosegError, match=message):
        suite_experiments(resolved(tmp_path, **changes))


def test_nothing_to_compare_on_is_one_sentence(tmp_path):
    config = resolved(tmp_path)
    del config["datasets"]["demo"]
    with pytest.raises(
        SmoosegError, match=f"suite: no data set with labels is below {tmp_path}; set data_root, or name"
    ):
        suite_experiments(config)
