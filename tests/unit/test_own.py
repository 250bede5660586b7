"""Heads and data sets of another package: the one in docs/how-to works as it stands."""

import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from smooseg.errors import SmoosegError
from smooseg.features.store import open_store
from smooseg.heads import find_head, load_head, save_head
from smooseg.images.datasets import VOID, Entry, open_dataset
from smooseg.running.plugins import code_of
from smooseg.settings.catalogue import heads
from smooseg.settings.config import resolve
from smooseg.settings.heads import head_schema
from smooseg.settings.schema import load_schema, validate
from smooseg.settings.suite import suite_experiments
from tests.conftest import clustered_features, make_store, shipped_config
from tests.support.package import blocks, install


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Its folder, on Python's path while a test runs."""
    folder = install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("mysegmentation")]:
        del sys.modules[name]


def shown(**changes) -> dict:
    """config.yaml with the entries that the pages show."""
    config = shipped_config()
    for text in blocks("yaml"):
        for key, value in yaml.safe_load(text).items():
            config[key] |= value
    for key, value in changes.items():
        config["experiments"]["demo_cosine"][key] = value
    return config


def test_a_head_fits_saves_and_loads(package, tmp_path):
    features, _ = clustered_features(32)
    make_store(tmp_path / "s.zarr", features)
    schema = load_schema()
    settings = validate({"steps": 60}, head_schema(schema, "cosine"), schema, "settings")
    head, history = find_head("cosine").fit(open_store(tmp_path / "s.zarr", {}), 3, settings, seed=0, budget=10**9)
    assert history["loss"].iloc[-1] < -0.5
    save_head(head, "cosine", {}, tmp_path / "head.safetensors")
    again, _ = load_head(tmp_path / "head.safetensors")
    views = torch.from_numpy(features)
    assert torch.equal(again.logits(again.embed(views)), head.logits(head.embed(views)))


def test_its_entries_resolve_with_defaults(package):
    config = resolve(shown())
    settings = config["experiments"]["demo_cosine"]["settings"]
    assert settings == {"steps": 300, "lr": 0.01, "subtract_mean": True}  # as the backbone's entry says
    assert config["datasets"]["streets"]["settings"] == {"step": 10}
    assert "cosine" in [row["name"] for row in heads()]


def test_it_joins_the_suite_by_its_entry_point(package, tmp_path):
    config = resolve(shipped_config() | {"data_root": str(tmp_path)})
    found = suite_experiments(config)
    (own,) = [name for name, member in found.items() if member["head"] == "cosine"]
    assert found[own] == {"dataset": "demo", "head": "cosine", "preset": "default"}
    assert config["experiments"][own]["settings"]["steps"] == 500
    assert len(found) == 12
    alone = resolve(shipped_config() | {"data_root": str(tmp_path), "suite_heads": ["cosine"]})
    assert list(suite_experiments(alone)) == [own]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"lr": 0}}, "experiments.demo_cosine.settings.lr breaks the rule exclusiveMinimum: 0; got 0"),
        ({"settings": {"stepz": 1}}, r"settings.stepz is unknown, .* \(did you mean steps\?\)"),
        (
            {"backbone": "dinov2_s14_focus_entering"},
            "experiments.demo_cosine: head cosine needs a backbone whose entry says prefix: false, "
            "and dinov2_s14_focus_entering says true; choose or add another entry",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(package, changes, message):
    with pytest.raises(SmoosegError, match=message):
        resolve(shown(**changes))


def test_settings_of_a_layout_are_checked(package):
    config = shown()
    config["datasets"]["streets"]["settings"] = {"stepp": 3}
    with pytest.raises(SmoosegError, match=r"datasets.streets.settings.stepp is unknown, allowed here: step"):
        resolve(config)
    config["datasets"]["streets"]["settings"] = {"step": "3"}
    with pytest.raises(SmoosegError, match="datasets.streets.settings.step must be integer; got '3'"):
        resolve(config)


def test_a_layout_without_settings_takes_none():
    config = shipped_config()
    config["datasets"]["camvid"]["settings"] = {"step": 3}
    with pytest.raises(SmoosegError, match="datasets.camvid.settings.step is unknown"):
        resolve(config)


def test_a_data_set_of_one_page(package, tmp_path):
    for folder, suffix in (("photos", "jpg"), ("ids", "png")):
        (tmp_path / folder / "val").mkdir(parents=True)
        Image.fromarray(np.array([[0, 5], [10, 255]], np.uint8)).save(tmp_path / folder / "val" / f"a.{suffix}")
    dataset = open_dataset({"layout": "streets", "root": tmp_path, "settings": {"step": 5}})
    assert dataset.entries("val") == [Entry("photos/val/a.jpg", "ids/val/a.png")]
    assert dataset.read_label(tmp_path / "ids/val/a.png").tolist() == [[0, 1], [2, VOID]]


@pytest.mark.parametrize(("room", "name"), [("heads", "cosine"), ("images.datasets", "streets")])
def test_every_file_of_the_package_counts_and_none_is_imported(package, room, name):
    before = code_of(room, name)
    (package / "helping.py").write_text("STEP = 1\n")
    after = code_of(room, name)
    (package / "helping.py").write_text("# a comment\nSTEP = 1\n")
    assert (before != after, code_of(room, name) == after) == (True, True)
    assert not any(name.startswith("mysegmentation") for name in sys.modules)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kmeans", "mysegmentation.cosine:CosineHead", "the name kmeans in entry points smooseg.heads is taken"),
        ("cosine", "mysegmentation.nothing:Head", "mysegmentation.nothing:Head: does not load .*ModuleNotFoundError"),
        ("cosine", "mysegmentation.streets:Streets", "must be a subclass of smooseg.heads.base.Head; it is"),
        ("cosine", "smooseg.heads:Head", "settings.steps is unknown, allowed here: nothing"),
    ],
)
def test_an_entry_point_that_is_no_head_is_one_sentence(package, tmp_path, name, value, message):
    declared = tmp_path / "mysegmentation-1.0.dist-info" / "entry_points.txt"
    text = declared.read_text()
    declared.write_text(text.replace("cosine = mysegmentation.cosine:CosineHead", f"{name} = {value}"))
    with pytest.raises(SmoosegError, match=message):
        resolve(shown())


def test_a_head_whose_package_is_gone_says_so(package, tmp_path):
    head = find_head("cosine")(4, 2, {"steps": 1, "lr": 0.1})
    save_head(head, "cosine", {}, tmp_path / "head.safetensors")
    (tmp_path / "mysegmentation-1.0.dist-info" / "entry_points.txt").unlink()
    with pytest.raises(SmoosegError, match="head cosine: no installed package has it"):
        load_head(tmp_path / "head.safetensors")


def test_a_head_of_another_package_gets_no_labels(package):
    text = (package / "cosine.py").read_text()
    assert "schema = {" in text
    (package / "cosine.py").write_text(text.replace("schema = {", 'schema = {"inputs": ["labels"], ', 1))
    with pytest.raises(SmoosegError, match="head cosine: its schema asks for inputs that no head gets: labels"):
        resolve(shown())


def test_settings_of_a_head_need_defaults(package, tmp_path):
    text = (package / "cosine.py").read_text()
    (package / "cosine.py").write_text(text.replace('"default": 500, ', ""))
    with pytest.raises(SmoosegError, match="head cosine: its schema must be a mapping whose properties have a default"):
        resolve(shown())
