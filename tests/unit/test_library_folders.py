"""What the library writes where: nothing of the user's is deleted, and no call replaces what another one gave."""

import shutil

import numpy as np
import pytest

from smooseg import SmoosegError, extract, fit, open_features
from smooseg.cli.results import head_of_features
from smooseg.heads import fitting
from smooseg.heads.base import read_made_from
from smooseg.running.files import hold_folder, share_folder
from tests.conftest import TINY_MODEL, clustered_features, write_images


@pytest.fixture(scope="module")
def backbone(tiny_checkpoint) -> dict:
    """An entry as in the catalogue."""
    return {"model": TINY_MODEL, "weights": {"source": "file", "path": str(tiny_checkpoint)}, "block": 3, "norm": False}


@pytest.fixture
def photos(tmp_path):
    """A folder of two pictures."""
    write_images(tmp_path, "photos", 2)
    return tmp_path / "images"


def test_no_file_of_the_users_is_deleted_or_replaced(tmp_path, photos, backbone):
    mine = tmp_path / "work" / "pictures" / "mine.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(SmoosegError, match=r"mine\.jpg: smooseg did not put this file there"):
        extract(photos, tmp_path / "work", backbone, size=32)
    assert mine.read_bytes() == b"mine"
    mine.unlink()
    first = extract(photos, tmp_path / "work", backbone, size=32).path
    hidden = mine.with_name(".DS_Store")
    hidden.write_bytes(b"a desktop's")
    images = sorted((tmp_path / "work" / "pictures" / "images" / "train").rglob("*.png"))
    assert len(images) == 2
    extract(sorted(photos.rglob("*.png"))[:1], tmp_path / "work", backbone, size=32)  # our own links are taken away
    assert len(list((tmp_path / "work" / "pictures" / "images" / "train").rglob("*.png"))) == 1
    assert first.exists() and hidden.is_file()
    same_name = tmp_path / "other" / "pictures" / images[0].relative_to(tmp_path / "work" / "pictures")
    same_name.parent.mkdir(parents=True)
    same_name.write_bytes(b"mine")
    with pytest.raises(SmoosegError, match="smooseg did not put this file there"):
        extract(photos, tmp_path / "other", backbone, size=32)
    assert same_name.read_bytes() == b"mine"


def test_a_second_fit_leaves_the_first_model_as_it_is():
    values, _ = clustered_features(32)
    model = fit(values, 3, "kmeans", samples=1000)
    other = fit(model.held[0], 6, "kmeans", samples=1000)  # to the same features
    assert (model.module.clusters, other.module.clusters) == (3, 6)
    assert model.predict(values).max() == 2 and model.save(model.fitted.with_name("copy")).is_file()
    assert len(model.history) and model.fitted != other.fitted


def test_a_model_whose_file_another_fit_replaced_says_so(tmp_path):
    values, _ = clustered_features(32)
    model = fit(values, 3, "kmeans", out=tmp_path, samples=1000)
    fit(values, 3, "kmeans", out=tmp_path, samples=1000)  # the same head
    assert model.fitted.is_relative_to(tmp_path)
    fit(values, 6, "kmeans", out=tmp_path, samples=1000)
    assert model.module.clusters == 3 and "clusters=3" in repr(model)
    with pytest.raises(SmoosegError, match="another fit wrote its head here; give each fit its own name"):
        model.save(tmp_path / "copy")


def test_out_is_the_folder_of_a_head_whatever_it_is_fitted_to(tmp_path, photos, backbone):
    features = extract(photos, tmp_path / "work", backbone, size=32)
    expected = tmp_path / "heads" / "results" / "library" / "kmeans" / "0" / "head.safetensors"
    for data in (features, np.asarray(features)):
        assert fit(data, 2, "kmeans", out=tmp_path / "heads", samples=1000).path == expected
    assert not (tmp_path / "work" / "results" / "library" / "kmeans").exists()
    masks = fit(features, 2, "kmeans", out=tmp_path / "more", samples=1000).predict(photos, size=64)
    assert len(masks) == 2


def test_a_head_that_knew_other_pictures_is_another(tmp_path, photos, backbone, monkeypatch):
    quick = {"samples": 1000, "partitions": 2, "repeats": 1}
    features = extract(photos, tmp_path / "work", backbone, size=32)
    opened = open_features(features.path)
    first = fit(features, 4, name="first", **quick)
    assert fit(opened, 4, name="opened", **quick).made_from == first.made_from
    given = []
    monkeypatch.setattr(
        "smooseg.heads.smooseg_plus.advice.advising_head", lambda *_, pictures, **__: given.append(pictures)
    )
    head_of_features(str(features.path), None)
    assert given[0].tolist() == [0] * 5 + [1] * 5
    shutil.rmtree(tmp_path / "work" / "results" / "library" / "manifests")
    unknown = open_features(features.path)
    assert unknown.manifest is None and fit(unknown, 4, name="unknown", **quick).made_from != first.made_from


def test_a_kill_between_history_and_head_leaves_no_finished_head(tmp_path, monkeypatch):
    values, _ = clustered_features(32)
    model = fit(values, 3, "kmeans", out=tmp_path, samples=1000)
    head = fitting.save_head
    monkeypatch.setattr(fitting, "save_head", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fit(values, 6, "kmeans", out=tmp_path, samples=1000)
    monkeypatch.setattr(fitting, "save_head", head)
    assert not fitting.is_finished(model.path, model.made_from)
    assert read_made_from(fit(values, 3, "kmeans", out=tmp_path, samples=1000).path) == model.made_from


def test_stores_that_are_not_there_or_lie_elsewhere(tmp_path):
    with pytest.raises(SmoosegError, match="/nope: there is no store"):
        open_features("/nope")
    values, _ = clustered_features(32)
    model = fit(values, 3, "kmeans", samples=1000)
    shutil.copytree(model.held[0].path, tmp_path / "a.zarr")
    path = fit(open_features(tmp_path / "a.zarr"), 3, "kmeans", samples=1000).path
    assert path == tmp_path / "library" / "kmeans" / "0" / "head.safetensors"


def test_features_that_another_call_replaced_say_so(tmp_path, photos, backbone):
    out = tmp_path / "work"
    first = extract(photos, out, backbone, size=32)
    same = extract(photos, out, backbone, size=32, codec="raw")
    np.testing.assert_array_equal(same, first)
    smaller = extract(photos, out, backbone, size=32, codec="bits5")
    assert smaller.store.provenance["codec"] == "bits5"
    assert extract(photos, out, backbone, size=32).store.provenance["codec"] == "bits5"  # nobody asked for another
    for use in (lambda: first[0], lambda: np.asarray(first), lambda: fit(first, 2, "kmeans", samples=1000)):
        with pytest.raises(SmoosegError, match="another call has replaced these features .*give each call its own out"):
            use()


def test_one_call_at_a_time_works_in_a_folder(tmp_path, photos, backbone):
    out = tmp_path / "work"
    with hold_folder(out / "results"), pytest.raises(SmoosegError, match="another run is at work here"):
        extract(photos, out, backbone, size=32)
    assert not (out / "pictures").exists()
    features = extract(photos, out, backbone, size=32)
    with hold_folder(out / "results"):
        share_folder(out / "results", begin=False)  # as a job of the same run
        with pytest.raises(SmoosegError, match="another run is at work here"):
            fit(features, 2, "kmeans", samples=1000)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"crops": "seven"}, r"extract\.crops must be one of whole, five; got 'seven'"),
        ({"resample": "cubic"}, r"extract\.resample must be one of .* \(did you mean bicubic\?\)"),
        ({"precision": "f8"}, r"extract\.precision must be one of"),
        ({"codec": "zip"}, r"extract\.codec must be one of raw, bits5"),
        ({"size": 0}, r"extract\.size breaks the rule minimum: 16"),
        ({"batch": 7}, r"extract\.batch breaks the rule m"),
        ({"workers": 0}, r"extract\.workers breaks the rule minimum: 1"),
    ],
)
def test_what_extract_cannot_do_is_said_before_it_begins(tmp_path, options, said):
    with pytest.raises(SmoosegError, match=said):
        extract(np.zeros((64, 64, 3), np.uint8), tmp_path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options, said",
    [
        ({"clusters": 3.5}, r"fit\.clusters must be integer or null or string; got 3\.5"),
        ({"clusters": 1}, r"fit\.clusters breaks the rule minimum: 2"),
        ({"clusters": "many"}, r"fit\.clusters must be a number or auto"),
        ({"seed": -1}, r"fit\.seed breaks the rule minimum: 0"),
        ({"memory_gb": 0}, r"fit\.memory_gb breaks the rule exclusiveMinimum: 0"),
        ({"name": "a/b"}, "name is 'a/b'; it must be the name of one folder"),
        ({"name": ".."}, "it must be the name of one folder"),
    ],
)
def test_what_fit_cannot_do_is_said_before_it_begins(tmp_path, options, said):
    with pytest.raises(SmoosegError, match=said):
        fit(np.zeros((4, 4, 8)), head="kmeans", out=tmp_path, **({"clusters": 2} | options))
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_numbers():
    values, _ = clustered_features(32)
    model = fit(values, np.int64(3), "kmeans", seed=np.int64(1), memory_gb=np.float32(1), samples=1000)
    assert (model.module.clusters, model.experiment["seed"]) == (3, 1)
    quick = {"samples": 1000, "partitions": 2, "repeats": 1}
    assert fit(values, "auto", **quick).module.clusters == fit(values, **quick).module.clusters
