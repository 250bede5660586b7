"""A user's script: arrays and paths in, arrays and tables out, and nobody else's settings changed."""

import io
import os
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import smooseg
from smooseg.settings.choices import blind_heads, choose, fitting_backbone, presets_of
from tests.conftest import clustered_features
from tests.support.library import QUICK, WITH_IMAGES, opened
from tests.support.library import backbone as backbone  # a fixture
from tests.support.library import features as features  # a fixture
from tests.support.library import folder as folder  # a fixture
from tests.support.library import model as model  # a fixture
from tests.support.package import install

# arrays in and out


def test_paths_arrays_tensors_and_pillows_images_give_the_same_masks(folder, model):
    arrays = opened(folder / "images")
    outcome = smooseg.segment(folder / "images", model, folder / "masks", size=64)
    expected = opened(folder / "masks" / "photos")
    assert len(outcome.shares) == 4
    in_memory = smooseg.segment(arrays, model, folder / "of_arrays", size=64).shares  # files of masks have such names
    assert list(in_memory["image"]) == list(in_memory["mask"]) == [f"{i:04d}.png" for i in range(4)]
    given = {
        "folder": folder / "images",
        "text": str(folder / "images" / "**" / "*.png"),
        "paths": sorted((folder / "images").rglob("*.png")),
        "arrays": arrays,
        "stack": np.stack(arrays),
        "tensor": torch.from_numpy(np.stack(arrays)),
        "Pillow": [Image.fromarray(array) for array in arrays],
    }
    for what, images in given.items():
        masks = smooseg.segment(images, model, size=64)
        for mask, ids in zip(masks, expected, strict=True):
            assert isinstance(mask, np.ndarray) and mask.dtype == np.uint8, what
            np.testing.assert_array_equal(mask, ids, what)
    one = smooseg.segment(arrays[2], model, size=64)
    np.testing.assert_array_equal(one, expected[2])


def test_images_of_several_sizes_with_scores(folder, model):
    large = opened(folder / "images")[0]
    masks = smooseg.segment([large, large[:50], large[:, :70]], model, size=64, scores=True)
    assert [mask.shape for mask in masks] == [(80, 96), (50, 96), (80, 70)]
    assert [mask.scores.shape for mask in masks] == [(2, 80, 96), (2, 50, 96), (2, 80, 70)]
    assert (masks[0].scores.argmax(0) == masks[0]).mean() > 0.95
    refined = smooseg.refine(large, masks[0].scores)
    assert (refined.shape, refined.dtype) == ((80, 96), np.uint8)
    assert (refined == masks[0]).mean() > 0.7
    alone = smooseg.refine(large, masks[0].scores, gaussian_weight=0, bilateral_weight=0)  # pixels without neighbours
    assert (alone == masks[0].scores.argmax(0)).all()
    with pytest.raises(smooseg.SmoosegError, match=r"crf\.iteration is unknown.*did you mean iterations"):
        smooseg.refine(large, masks[0].scores, iteration=3)


def test_arrays_are_fitted_as_their_files_are(folder, features, backbone):
    arrays = opened(folder / "images")
    of_arrays = smooseg.extract(arrays, None, backbone, size=32)
    np.testing.assert_array_equal(of_arrays, features)
    stack = smooseg.extract(torch.from_numpy(np.stack(arrays)), None, backbone, size=32)
    np.testing.assert_array_equal(stack, features)


def test_features_of_my_own_need_no_backbone():
    values, truth = clustered_features(40)
    model = smooseg.fit(values.astype(np.float32), 3, "kmeans", samples=1000)
    ids = model.predict(values)
    assert smooseg.score(ids, truth).accuracy > 95
    same = smooseg.fit(torch.from_numpy(values), 3, "kmeans", samples=1000)
    np.testing.assert_array_equal(same.predict(torch.from_numpy(values)), ids)
    with pytest.raises(smooseg.SmoosegError, match=r"of shape \(views, patches, channels\); these are float64 \(3, 4"):
        smooseg.fit(np.zeros((3, 4, 0)), 2)
    with pytest.raises(smooseg.SmoosegError, match="at most 65504"):
        smooseg.fit(np.full((3, 4, 8), 1e6), 2)
    with pytest.raises(smooseg.SmoosegError, match="7 channels, and the head is of 32"):
        model.predict(np.zeros((3, 4, 7), np.float32))


def test_names_are_a_file_by_its_path_or_its_text(folder, model, tmp_path):
    file = tmp_path / "names.csv"
    file.write_text("cluster,name\n0,up\n1,down\n")
    image = opened(folder / "images")[0]
    as_text = smooseg.segment(image, model, size=64, names=str(file))
    assert set(as_text.shares()["name"]) <= {"up", "down"}
    np.testing.assert_array_equal(as_text, smooseg.segment(image, model, size=64, names=file))


def test_a_tree_of_clusters_is_cut_without_a_new_fit(folder, features, model, tmp_path):
    tree, image = smooseg.fit(features, 2, **QUICK["smooseg_plus"]), opened(folder / "images")[0]
    coarse, fine = (tree.predict(features, clusters=number) for number in (2, 5))
    np.testing.assert_array_equal(tree.predict(features), coarse)
    assert fine.max() == 4
    assert all(len(set(coarse[fine == cluster])) == 1 for cluster in range(5))  # the cuts nest
    mask = smooseg.segment(image, tree, size=64, clusters=5, scores=True)
    assert mask.scores.shape[0] == 5
    assert smooseg.segment(folder / "images", tree, tmp_path, size=64, clusters=5).clusters == 5
    each = tmp_path / "names.csv"
    each.write_text("cluster,name\n" + "".join(f"{i},part {i}\n" for i in range(tree.module.finest)))
    assert len(smooseg.segment([image], tree, size=64, names=each).shares().columns) > 3
    with pytest.raises(smooseg.SmoosegError, match="has the 32 finest clusters, and 5 are asked for; leave out"):
        smooseg.segment(image, tree, size=64, names=each, clusters=5)
    for wrong in (lambda: smooseg.segment(image, model, clusters=5), lambda: model.predict(features, clusters=5)):
        with pytest.raises(smooseg.SmoosegError, match="the head holds 2 clusters, not 5; fit a smooseg_plus head"):
            wrong()


@pytest.mark.parametrize("name", ["batch", "size", "scale", "tile"])
def test_numbers_of_a_view_are_above_0(folder, model, tmp_path, name):
    for out in (None, tmp_path):
        with pytest.raises(smooseg.SmoosegError, match=f"^{name} is 0; it must be above 0"):
            smooseg.segment(folder / "images", model, out, **{name: 0})
    assert not list(tmp_path.iterdir())


def test_what_is_no_image_is_named(model):
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3, 3, 3), np.uint8), [np.zeros((9, 9, 4), np.uint8)], 5):
        with pytest.raises(
            smooseg.SmoosegError, match="images are paths, uint8 arrays or tensors of height x width x 3"
        ):
            smooseg.segment(wrong, model)
    with pytest.raises(smooseg.SmoosegError, match="no image was given"):
        smooseg.segment([], model)


def test_pillows_images_of_other_modes(folder, model, backbone):
    image = Image.fromarray(opened(folder / "images")[0])
    for mode in ("CMYK", "YCbCr"):
        (seen,) = smooseg.segment([image.convert(mode)], model, size=64)
        np.testing.assert_allclose(np.asarray(seen.image, int), np.asarray(image, int), atol=4)
    data = io.BytesIO()
    image.save(data, "PNG")
    truncated = Image.open(io.BytesIO(data.getvalue()[: len(data.getvalue()) // 2]))
    wrong = {"mode F cannot": image.convert("F"), "mode HSV cannot": image.convert("HSV"), "not decode": truncated}
    for message, bad in wrong.items():
        for use in (lambda bad: smooseg.segment(bad, model), lambda bad: smooseg.extract([bad], None, backbone)):
            with pytest.raises(smooseg.SmoosegError, match=f"an image .*{message}"):
                use(bad)


def test_rasters_in_memory_show_the_bands_that_are_asked_for(folder, model, tmp_path, monkeypatch):
    rasterio = pytest.importorskip("rasterio")
    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)
    pixels = np.moveaxis(opened(folder / "images")[0], 2, 0)
    four = np.concatenate([pixels[::-1], pixels[:1]])
    with rasterio.open(tmp_path / "four.tif", "w", driver="GTiff", width=96, height=80, count=4, dtype="uint8") as file:
        file.write(four)
    (as_asked,) = smooseg.segment(tmp_path / "four.tif", model, bands=(3, 2, 1), scale=1)
    outcome = smooseg.segment(tmp_path / "four.tif", model, tmp_path / "out", bands=(3, 2, 1), scale=1)
    with rasterio.open(tmp_path / "out" / outcome.shares["mask"][0]) as written:
        np.testing.assert_array_equal(as_asked, written.read(1))
    np.testing.assert_array_equal(as_asked.image, opened(folder / "images")[0])
    assert "GDAL_CACHEMAX" not in os.environ  # it is for the whole process, which is the user's
    with pytest.raises(smooseg.SmoosegError, match="polygons are files"):
        smooseg.segment(tmp_path / "four.tif", model, polygons=True)
    with pytest.raises(smooseg.SmoosegError, match="scores are arrays, and out is for files"):
        smooseg.segment(tmp_path / "four.tif", model, tmp_path / "out", scores=True)


def test_scores_are_the_workflows(folder, model):
    masks, labels = smooseg.segment(folder / "images", model, size=64), opened(folder / "labels")
    scored = smooseg.score(masks, labels, classes=["up", "down"])
    assert scored.confusion.to_numpy().sum() == sum((label != 255).sum() for label in labels)
    assert isinstance(scored.confusion, pd.DataFrame) and list(scored.confusion.columns) == ["up", "down"]
    right = sum(scored.confusion.loc[cluster, name] for cluster, name in scored.matching.items())
    assert scored.accuracy == pytest.approx(100 * right / scored.confusion.to_numpy().sum())
    assert scored.miou == pytest.approx(scored.iou.mean()) and list(scored.iou.index) == ["up", "down"]
    assert scored.accuracy > 90
    classes = [np.array([list(scored.iou.index).index(scored.matching[i]) for i in range(2)])[mask] for mask in masks]
    assert smooseg.score(classes, labels, matched=False).accuracy == pytest.approx(scored.accuracy)
    with pytest.raises(smooseg.SmoosegError, match="4 maps and 1 labels were given"):
        smooseg.score(masks, labels[0])
    with pytest.raises(smooseg.SmoosegError, match="void: there is nothing to score"):
        smooseg.score(masks[0], np.full((80, 96), 255))


def test_pixels_without_a_cluster_count_as_wrong():
    labels = np.array([[0, 0, 1, 1]])
    scored = smooseg.score(np.array([[0, 0, 1, 255]], np.uint8), labels)
    assert scored.accuracy == 75
    with pytest.raises(smooseg.SmoosegError, match="ids of maps reach 5, and there are 2"):
        smooseg.score(np.array([[0, 0, 1, 5]]), labels, clusters=2)


def test_more_clusters_than_classes_need_matching():
    labels = np.array([[0, 1, 2]])
    with pytest.raises(smooseg.SmoosegError, match="5 are more than the 3 classes"):
        smooseg.score(labels, labels, clusters=5, matched=False)
    assert smooseg.score(labels, labels, clusters=2 + 1, matched=False).accuracy == 100


def test_scores_that_cannot_be_refined_are_one_sentence():
    image, scores = np.zeros((8, 9, 3), np.uint8), torch.rand(2, 8, 9)
    expected = smooseg.refine(image, scores)
    np.testing.assert_array_equal(smooseg.refine(image, scores.clone().requires_grad_()), expected)
    for wrong in (scores[0], scores[:, :, :8], scores[:0], scores.numpy().astype(str)):
        with pytest.raises(
            smooseg.SmoosegError, match=r"numbers of shape \(clusters, 8, 9\), as the image has it; got"
        ):
            smooseg.refine(image, wrong)
    scores[0, 0, 0] = torch.nan
    with pytest.raises(smooseg.SmoosegError, match="scores hold NaN or infinite values"):
        smooseg.refine(image, scores)


# every head everywhere


def test_every_head_that_is_listed_has_quick_settings_here():
    assert set(QUICK) == set(blind_heads())


@pytest.mark.parametrize("head", sorted(QUICK))
def test_every_head_gets_what_it_needs_from_images(folder, backbone, head):
    settings = QUICK[head]
    model = smooseg.fit(folder / "images", 2, head, backbone=backbone, out=folder / "heads", **settings)
    entry = model.experiment["features"]
    assert entry["features"] == ("keys" if head == "eagle" else "tokens")
    assert entry["prefix"] == (1 if head == "ppap" else 0)
    assert model.predict(folder / "images", size=64)[0].max() <= 1
    assert f"head={head!r}" in repr(model)


def test_mask_proposals_that_are_there_are_not_written_again(folder, backbone, tmp_path):
    features = smooseg.extract(folder / "images", tmp_path, backbone, size=32)
    smooseg.fit(features, clusters=2, head="primaps", **QUICK["primaps"])
    (store,) = (tmp_path / "results" / "proposals").rglob("*.zarr")
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    smooseg.fit(features, clusters=2, head="primaps", seed=1, **QUICK["primaps"])
    assert before and before == {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}


@pytest.mark.parametrize("head", sorted(QUICK))
def test_every_head_takes_bare_features_or_says_what_is_missing(head):
    values, _ = clustered_features(32)
    if head in WITH_IMAGES:
        with pytest.raises(smooseg.SmoosegError, match=f"also needs {WITH_IMAGES[head]}.*give images"):
            smooseg.fit(values, 2, head, **QUICK[head])
        return
    model = smooseg.fit(values, 2, head, **QUICK[head])
    assert model.predict(values).shape == (32, 16)


@pytest.mark.parametrize("head", ["cause", "hp", "smooseg_plus", "stego"])
def test_views_that_are_no_square_are_one_sentence(head):
    with pytest.raises(
        smooseg.SmoosegError, match="these have 17 patches, one more than a square: leave out the class"
    ):
        smooseg.fit(np.random.default_rng(0).normal(size=(4, 17, 8)).astype(np.float32), 2, head, **QUICK[head])


def test_too_few_views_or_patches_are_one_sentence():
    one = np.random.default_rng(0).normal(size=(1, 4, 8)).astype(np.float32)
    for head in ("stego", "equss"):
        with pytest.raises(smooseg.SmoosegError, match="so two of them are needed; give more images"):
            smooseg.fit(one, 2, head, **QUICK[head])
    some = np.random.default_rng(0).normal(size=(20, 4, 8)).astype(np.float32)
    for head, settings in (("stego", {}), ("kmeans", {}), ("smooseg_plus", {"partitions": 0})):
        with pytest.raises(smooseg.SmoosegError, match="patches cannot make 200 clusters; give more images, or ask"):
            smooseg.fit(some, 200, head, **(QUICK[head] | settings))


def test_a_head_of_another_package(tmp_path, monkeypatch):
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert "cosine" in blind_heads()
    values, _ = clustered_features(32)
    assert smooseg.fit(values, 3, "cosine", steps=5).predict(values).shape == (32, 16)
    for name in [name for name in sys.modules if name.startswith("mysegmentation")]:
        del sys.modules[name]


def test_presets_and_derived_backbones_are_the_catalogues():
    assert choose("smooseg", 6, preset="released").settings["steps"] == 8000
    assert choose("smooseg", 6, preset="small").settings["steps"] == 600
    assert choose("smooseg", 6, preset="small", settings={"steps": 7}).settings["steps"] == 7
    assert set(presets_of("eagle")) == {"released", "small", "cityscapes"}
    with pytest.raises(
        smooseg.SmoosegError, match="head hp has the presets small, released, cityscapes, potsdam3, and not tiny"
    ):
        choose("hp", 6, preset="tiny")
    for head, name in (("eagle", "dino_b8_keys"), ("ppap", "dino_b8_entering"), ("smooseg", "dino_b8")):
        chosen = choose(head, 6, "dino_b8")
        assert (chosen.backbone, chosen.entry) == (name, choose("kmeans", 6, "dino_b8").entry | chosen.entry)
    assert fitting_backbone({"features": ("keys", "")}, "own", {"block": [1, 2], "features": "tokens"})[0] == "own"


def test_one_default_head_in_library_and_command():
    import inspect

    from smooseg.cli.fit import fit as command

    defaults = {parameter.name: parameter.default for parameter in command.params}
    assert defaults["head"] == inspect.signature(smooseg.fit).parameters["head"].default == "smooseg_plus"
    assert defaults["backbone"] == inspect.signature(smooseg.fit).parameters["backbone"].default


def test_scikit_learns_manners(folder, backbone):
    from sklearn.base import clone

    model = smooseg.Model(2, "kmeans", backbone=backbone, samples=1000)
    assert model.get_params()["samples"] == 1000 and "not fitted" in repr(model)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(clusters=3, samples=2000).get_params()["samples"] == 2000
    with pytest.raises(smooseg.SmoosegError, match="not fitted yet; call fit"):
        model.predict(folder / "images")
    masks = model.fit_predict(opened(folder / "images"))
    assert len(masks) == 4 and model.history["step"].iloc[-1] > 0
    saved = model.save(folder / "saved.safetensors")
    again = smooseg.load(saved, weights=model.weights)
    np.testing.assert_array_equal(again.predict(opened(folder / "images"))[1], masks[1])
