"""The library as scripts use it."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import smooseg
from smooseg import SmoosegError, extract, fit, segment
from tests.conftest import ROOT, TINY_MODEL, write_images
from tests.support.deep import png


@pytest.fixture
def backbone(tiny_checkpoint) -> dict:
    """An entry as in the catalogue."""
    return {"model": TINY_MODEL, "weights": {"source": "file", "path": str(tiny_checkpoint)}, "block": 3, "norm": False}


def test_extract_fit_segment(tmp_path, backbone):
    write_images(tmp_path, "photos", 4)  # images and labels, of which only the former are given

    features = extract(tmp_path / "images", tmp_path / "work", backbone, size=32)
    head = fit(features, clusters=2, head="smooseg", steps=3, batch=4)
    outcome = segment(tmp_path / "images", head, tmp_path / "masks", size=64)

    assert features.store.shape == (20, 4, 64)  # five crops of each
    assert outcome.shares["mask"].tolist() == [f"photos/{i:03d}.png" for i in range(4)]
    assert outcome.shares[["cluster 0", "cluster 1"]].sum(axis=1).to_numpy() == pytest.approx(100)
    assert (outcome.problems, outcome.kept) == ([], 0)
    with Image.open(tmp_path / "masks" / "photos" / "000.png") as mask:
        assert np.isin(np.array(mask), [0, 1]).all()
        assert mask.size == (96, 80)


def test_void_patches_of_deep_pictures_take_no_part_in_a_fit(tmp_path, backbone):
    values = np.random.default_rng(0).integers(0, 4096, (64, 64, 4)).astype(np.uint16)
    values[..., 3] = 65535
    values[:, 32:] = 0  # the right half is transparent
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(png(values))
    features = extract(tmp_path / "photos", tmp_path / "work", backbone, size=32, crops="whole")
    left, right = features.store.read(0, 1)[0, 0::2], features.store.read(0, 1)[0, 1::2]
    np.testing.assert_array_equal(left, right)
    assert len(np.unique(left, axis=0)) == 2
    head = fit(features, 2, "kmeans", samples=1000)
    assert (features.needs["bits"], smooseg.load_head(head.path)[1]["features"]["bits"]) == (12, 12)


def test_a_second_call_continues(tmp_path, backbone):
    write_images(tmp_path, "photos", 2)
    first = extract(tmp_path / "images", tmp_path / "work", backbone, size=32)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("c.*.0")}
    assert before
    assert extract(tmp_path / "images", tmp_path / "work", backbone, size=32).path == first.path
    assert before == {path: path.stat().st_mtime_ns for path in before}
    head = fit(first, 2, "kmeans", name="two", seed=5, samples=1000)
    assert head.path == tmp_path / "work" / "results" / "library" / "two" / "5" / "head.safetensors"
    assert head.path.with_name("history.parquet").is_file()
    smooseg.load_head(head.path)


def test_mistakes_are_one_sentence(tmp_path, backbone):
    with pytest.raises(SmoosegError, match=r"backbone 'dino' is none of dinov2_s14_focus, "):
        extract(tmp_path, tmp_path, "dino")
    with pytest.raises(SmoosegError, match=r"backbone\.blok is unknown"):
        extract(tmp_path, tmp_path, backbone | {"blok": 1})
    with pytest.raises(SmoosegError, match="holds no image"):
        extract(tmp_path, tmp_path / "work", backbone)
    write_images(tmp_path, "photos", 1)
    features = extract(tmp_path / "images", tmp_path / "work", backbone, size=32)
    with pytest.raises(SmoosegError, match=r"smooseg\.step is unknown.*did you mean steps"):
        fit(features, 2, "smooseg", step=1)
    with pytest.raises(
        SmoosegError, match="head 'linear' is trained with labels.* one of cause, eagle, equss, .*, stego"
    ):
        fit(features, 2, "linear")
    with pytest.raises(AttributeError, match="no attribute 'segmnt'"):
        _ = smooseg.segmnt


def test_what_the_workflow_parses_stays_light():
    light = "import smooseg, smooseg.cli, smooseg.settings.config, smooseg.images.datasets, smooseg.running.fingerprint, smooseg.settings.catalogue, sys"
    heavy = "{'torch', 'timm', 'zarr', 'matplotlib', 'pandas', 'sklearn'} & set(sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", f"{light}; print({heavy})"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.stdout.strip() == "set()", result.stderr
    assert set(dir(smooseg)) >= set(smooseg.__all__)
