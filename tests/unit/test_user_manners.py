"""What the library gives shows itself, and calling it changes nothing of anybody else's."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import dask.array
import numpy as np
import pandas as pd
import pytest
import torch
import xarray
import zarr
from matplotlib.axes import Axes
from PIL import Image

import smooseg
from smooseg.pictures.exports.folder import MaskFolder
from tests.conftest import ROOT
from tests.support.library import QUICK, opened
from tests.support.library import backbone as backbone  # a fixture
from tests.support.library import features as features  # a fixture
from tests.support.library import folder as folder  # a fixture
from tests.support.library import model as model  # a fixture

# objects that show themselves


def test_features_are_an_array(features):
    whole = np.asarray(features)
    assert features.shape == whole.shape == (20, 4, 64) and features.dtype == whole.dtype == np.float16
    assert (len(features), features.ndim) == (20, 3)
    np.testing.assert_array_equal(features[3], whole[3])
    np.testing.assert_array_equal(features[-1, 2], whole[-1, 2])
    np.testing.assert_array_equal(features[2:7, :, 5], whole[2:7, :, 5])
    np.testing.assert_array_equal(features[::7], whole[::7])
    np.testing.assert_array_equal(np.stack(list(features)), whole)
    assert repr(features).startswith("Features(20 views, 4 patches, 64 channels, float16; pictures, test_vit, model=")
    array = zarr.open_array(features.path, mode="r")
    assert array.metadata.dimension_names == ("views", "patches", "channels")
    again = smooseg.open_features(features.path)
    np.testing.assert_array_equal(again, whole)
    assert smooseg.fit(again, 2, "kmeans", samples=1000).path.is_file()


def test_xarray_takes_the_names_of_a_caches_axes(features):
    array = zarr.open_array(features.path, mode="r")
    named = xarray.DataArray(dask.array.from_zarr(array), dims=array.metadata.dimension_names)
    assert named.sizes == {"views": len(features), "patches": features.shape[1], "channels": 64}
    np.testing.assert_array_equal(named.isel(views=1).compute(), features[1])


def test_masks_show_themselves(folder, model, tmp_path):
    masks = smooseg.segment(folder / "images", model, size=64)
    mask = masks[0]
    assert mask._repr_png_().startswith(b"\x89PNG") and (mask == 0)._repr_png_() is None
    shares = mask.shares()
    assert list(shares.columns) == ["id", "name", "colour", "pixels", "percent"]
    assert shares["percent"].sum() == pytest.approx(100) and shares["pixels"].sum() == mask.size
    assert list(masks.shares()["image"]) == [f"photos/{i:03d}" for i in range(4)]
    written = mask.save(tmp_path / "one.png")
    np.testing.assert_array_equal(np.asarray(Image.open(written)), mask)
    assert (tmp_path / "one.overlay.jpg").is_file()
    masks.save(tmp_path / "all")
    assert len(pd.read_csv(tmp_path / "all" / "shares.csv")) == 4
    assert (tmp_path / "all" / "photos" / "003.png").is_file()
    smooseg.segment(folder / "images", model, tmp_path / "written", size=64)
    for name in ("legend.csv", "shares.csv"):
        assert (tmp_path / "all" / name).read_text() == (tmp_path / "written" / name).read_text()
    assert [file.picture.name for file in MaskFolder(tmp_path / "all").masks] == [f"00{i}.png" for i in range(4)]
    with pytest.raises(smooseg.SmoosegError, match="some of these are parts, or of another head"):
        smooseg.Masks([mask, masks[1] == 0]).save(tmp_path / "mixed")


def test_masks_of_one_name_are_told_apart_or_not_saved(folder, model, tmp_path):
    pixels = opened(folder / "images")[0]
    paths = [tmp_path / name for name in ("a/0.png", "b/0.png", "b/0.jpg")]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    masks = smooseg.segment([paths[1], pixels, paths[0]], model, size=64)
    assert [mask.name for mask in masks] == ["b/0", "0001", "a/0"]
    assert all(path.is_file() for path in masks.save(tmp_path / "out"))
    assert len(set(masks.save(tmp_path / "out"))) == 3
    with pytest.raises(smooseg.SmoosegError, match="two masks are called 0; save them apart"):
        smooseg.segment(paths[1:], model, size=64).save(tmp_path / "none")
    with pytest.raises(smooseg.SmoosegError, match="there is no mask to save"):
        smooseg.Masks([]).save(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_class_can_have_the_name_of_a_column(folder, model, tmp_path):
    names = tmp_path / "names.csv"
    names.write_text("cluster,name\n0,image\n1,width\n")
    masks = smooseg.segment(folder / "images", model, size=64, names=names)
    shares = masks.shares()
    assert list(shares.columns) == ["image", "height", "width", "class image", "class width"]
    assert shares["image"][0] == "photos/000" and shares["width"][0] == 96
    np.testing.assert_allclose(shares[["class image", "class width"]].sum(axis=1), 100)


def test_heads_and_scores_show_themselves(model):
    assert repr(model.module).startswith("KMeansHead(clusters=2, channels=64, samples=1000")
    assert (
        repr(smooseg.score(np.array([[0, 1]]), np.array([[0, 1]]))) == "Scored(accuracy=100.00, miou=100.00, 2 classes)"
    )


def test_plots_return_axes(folder, model, features):
    masks = smooseg.segment(folder / "images", model, size=64)
    axes = smooseg.plot_segmentations({"k-means": masks, "again": masks})
    assert axes.shape == (4, 3) and all(isinstance(axis, Axes) for axis in axes.flat)
    width, height = axes[0, 0].figure.get_size_inches()
    assert height < 4 * 80 / 96 * width / 3 + 0.5  # rows are as high as the images, which are wider than high
    penalties = smooseg.plot_penalties(model, features)
    assert isinstance(penalties, Axes) and len(penalties.patches) == 2
    assert smooseg.plot_penalties(model, features, penalties) is penalties
    chosen = smooseg.fit(features, None, name="chosen", **QUICK["smooseg_plus"])  # by the head
    number = chosen.module.clusters
    assert smooseg.plot_penalties(chosen, features).get_title() == f"smooseg_plus, {number} clusters"
    assert f"clusters={number}, " in repr(chosen) and "None" in repr(smooseg.Model(None))


# good manners


def state() -> dict:
    """What belongs to everybody in this process."""
    return {
        "torch": torch.random.get_rng_state().sum().item(),
        "numpy": np.random.get_state()[1].sum(),
        "threads": torch.get_num_threads(),
        "pillow": Image.MAX_IMAGE_PIXELS,
        "handlers": list(logging.getLogger().handlers),
        "environment": dict(os.environ),
        "grad": torch.is_grad_enabled(),
    }


def test_nothing_of_anybody_elses_is_changed(folder, backbone, caplog):
    torch.manual_seed(7)
    before = state()
    with caplog.at_level(logging.INFO):
        model = smooseg.fit(
            folder / "images", 2, "smooseg", backbone=backbone, seed=3, name="quiet", **QUICK["smooseg"]
        )
        smooseg.segment(folder / "images", model, crf=True, size=64)
    assert state() == before
    assert Image.MAX_IMAGE_PIXELS is not None
    names = {record.name for record in caplog.records}
    assert "root" not in names and "smooseg.features.extraction" in names


def test_a_killed_call_leaves_nothing_that_the_next_cannot_read(folder, backbone, tmp_path):
    features = smooseg.extract(folder / "images", tmp_path, backbone, size=32)
    model = smooseg.fit(features, 2, "kmeans", samples=1000)
    head = model.path.read_bytes()
    cut = [
        tmp_path / "results" / "library" / "weights" / "test_vit.json",
        tmp_path / "results" / "library" / "manifests" / "pictures" / "train.parquet",
        features.path / "complete.json",
        model.path,
        model.path.with_name("history.parquet"),
    ]
    for path in cut:
        assert path.is_file()
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    again = smooseg.extract(folder / "images", tmp_path, backbone, size=32)
    assert smooseg.fit(again, 2, "kmeans", samples=1000).path.read_bytes() == head


def test_a_finished_head_is_not_fitted_again_and_another_is(features, model, monkeypatch):
    before = model.path.stat().st_mtime_ns
    assert smooseg.fit(features, 2, "kmeans", samples=1000).path.stat().st_mtime_ns == before
    monkeypatch.setattr("smooseg.heads.fitting.code_of_heads", lambda *names: "changed")
    assert smooseg.fit(features, 2, "kmeans", samples=1000).path.stat().st_mtime_ns > before


def test_a_cache_of_other_code_is_made_again(folder, backbone, tmp_path, monkeypatch):
    first = smooseg.extract(folder / "images", tmp_path, backbone, size=32)
    assert first.store.provenance["code"] == smooseg.features.caching.code_of_features()
    monkeypatch.setattr("smooseg.features.caching.code_of_features", lambda: "changed cover_void")
    assert smooseg.extract(folder / "images", tmp_path, backbone, size=32).store.provenance["code"] != "changed"
    again = smooseg.extract(folder / "images", tmp_path, backbone, size=32)
    assert again.store.provenance["code"] == "changed cover_void"


def test_the_rules_ask_the_same_functions_for_the_code():
    rules = {path.stem: path.read_text("utf-8") for path in (ROOT / "workflow" / "rules").glob("*.smk")}
    assert "code=code_of_features()" in rules["features"] and "code=code_of_proposals()" in rules["proposals"]
    assert "code_of_heads(*heads_of(w.experiment))" in rules["train"]
    assert rules["evaluate"].count("code_of_maps(*heads_of(w.experiment))") == 3


SCRIPT = """
from pathlib import Path

import numpy as np

import smooseg

features: smooseg.Features = smooseg.extract("photos", out="work", size=224)
shape: tuple[int, ...] = features.shape
model: smooseg.Model = smooseg.fit(features, 6, "smooseg", steps=10)
path: Path | None = model.path
masks = smooseg.segment("photos", model)
ids: np.ndarray = smooseg.refine(np.zeros((8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.float32))
scored: smooseg.Scored = smooseg.score([ids], [ids])
accuracy: float = scored.accuracy
"""
WRONG = """
import smooseg

number: int = smooseg.fit("photos", 6)
smooseg.segmnt("photos")
"""


STRICT = """
[[tool.mypy.overrides]]
module = ["right", "wrong"]
check_untyped_defs = true
disallow_any_generics = true
disallow_any_unimported = true
disallow_incomplete_defs = true
disallow_subclassing_any = true
disallow_untyped_calls = true
disallow_untyped_decorators = true
disallow_untyped_defs = true
strict_equality = true
warn_return_any = true
"""


def test_a_users_file_passes_strict_types_and_a_wrong_one_does_not(tmp_path):
    (tmp_path / "right.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text(WRONG)
    settings = (ROOT / "pyproject.toml").read_text("utf-8").replace('packages = ["smooseg"]', "")
    (tmp_path / "pyproject.toml").write_text(settings + STRICT, "utf-8")  # what make lint checked is not checked again
    files = [str(tmp_path / name) for name in ("right.py", "wrong.py")]
    command = [sys.executable, "-m", "mypy", "--config-file", str(tmp_path / "pyproject.toml"), *files]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    errors = [line for line in result.stdout.splitlines() if ": error:" in line]
    found = [(Path(line.split(":")[0]).name, line.rsplit("[", 1)[1].rstrip("]")) for line in errors]
    assert found == [("wrong.py", "assignment"), ("wrong.py", "attr-defined")], result.stdout


def test_importing_it_is_quick_and_light():
    code = "import time; began = time.perf_counter(); import smooseg; print(time.perf_counter() - began); dir(smooseg)"
    light = "import sys; print({'torch', 'pandas', 'zarr', 'matplotlib', 'PIL'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", f"{code}; {light}"], capture_output=True, text=True, cwd=ROOT)
    seconds, loaded = result.stdout.splitlines()
    assert float(seconds) < 0.3 and loaded == "set()"
    assert set(dir(smooseg)) >= set(smooseg.__all__)
