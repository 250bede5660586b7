"""Crop boxes, manifests and the pixels that come of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smooseg.errors import SmoosegError
from smooseg.features.provenance import round_to_patch
from smooseg.images.datasets import open_dataset
from smooseg.images.imaging import label_view, read_views
from smooseg.images.indexing import index_views
from smooseg.images.manifests import manifest_sha256
from smooseg.images.views import LEAST, crop_boxes


@pytest.fixture
def dataset(folder):
    return open_dataset({"root": folder, "layout": "folder", "classes": ["down", "up"], "void": 255})


def index(dataset, split="val", evaluation=True, crops="whole", size=32):
    return index_views(dataset, split, crops, size, evaluation, workers=2)


@pytest.mark.parametrize(("size", "patch", "expected"), [(320, 14, 322), (320, 16, 320), (224, 14, 224), (1, 8, 8)])
def test_sizes_round_up_to_the_patch(size, patch, expected):
    assert round_to_patch(size, patch) == expected


def test_five_crops_are_squares_in_corners_and_centre():
    boxes = crop_boxes(480, 360, "five")
    assert boxes == [
        (30, 0, 210, 180),
        (270, 0, 450, 180),
        (30, 180, 210, 360),
        (270, 180, 450, 360),
        (150, 90, 330, 270),
    ]
    assert crop_boxes(480, 360, "whole") == [(60, 0, 420, 360)]


@given(st.sampled_from(sorted(LEAST)), st.data())
def test_boxes_are_squares_inside_an_image_of_any_size(crops, data):
    width, height = (data.draw(st.integers(LEAST[crops], 40_000)) for _ in range(2))
    boxes = crop_boxes(width, height, crops)
    shares = 1 if crops == "whole" else 2
    assert len(boxes) == (1 if crops == "whole" else 5)
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert right - left == bottom - top == min(width // shares, height // shares)
    mirrored = {(width - right, top, width - left, bottom) for left, top, right, bottom in boxes}
    for box in mirrored:  # a mirrored image has the mirrored boxes, but for two roundings
        assert min(max(abs(a - b) for a, b in zip(box, other, strict=True)) for other in boxes) <= 2


@given(st.integers(1, 4096), st.integers(1, 64))
def test_a_rounded_size_is_the_next_multiple_of_the_patch(size, patch):
    rounded = round_to_patch(size, patch)
    assert rounded % patch == 0 and 0 <= rounded - size < patch


def test_views_carry_no_label_and_training_views_no_mirror(dataset):
    manifest = index(dataset, "train", evaluation=False, crops="five")
    assert len(manifest) == 20
    assert not manifest["mirror"].any()
    assert "label" not in manifest


def test_evaluation_views_are_pairs(dataset):
    manifest = index(dataset)
    assert manifest["mirror"].tolist() == [False, True] * 3
    pixels = read_views(dataset.root, manifest, 32, "nearest")
    np.testing.assert_array_equal(pixels[0::2], pixels[1::2, :, ::-1])


def test_a_view_is_the_resized_image_cropped(dataset):
    manifest = index(dataset, size=40)  # 96x80 halves to 48x40
    image = Image.open(dataset.root / manifest["image"].iloc[0])
    whole = np.asarray(image.resize((48, 40), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(read_views(dataset.root, manifest.iloc[:1], 40, "nearest")[0], whole[:, 4:44])


def test_labels_follow_their_views(dataset):
    row, path = next(index(dataset, size=80).itertuples()), dataset.root / "labels/val/000.png"
    ids = dataset.read_label(path)
    np.testing.assert_array_equal(label_view(ids, path, row, 80), ids[:, 8:88])


def test_twenty_bad_images_are_listed_and_the_rest_counted(tmp_path):
    (tmp_path / "images" / "val").mkdir(parents=True)
    for i in range(30):
        (tmp_path / "images" / "val" / f"{i}.png").write_bytes(b"nothing")
    dataset = open_dataset({"root": tmp_path, "layout": "folder", "classes": ["a", "b"], "void": 255})
    with pytest.raises(SmoosegError, match="and 10 more") as raised:
        index(dataset)
    assert str(raised.value).count("does not decode") == 20


def test_an_image_that_changed_since_is_refused(dataset):
    manifest = index(dataset)
    Image.new("RGB", (96, 80)).save(dataset.root / "images/val/001.png")
    with pytest.raises(SmoosegError, match=r"001\.png: changed since it was indexed"):
        read_views(dataset.root, manifest, 32, "nearest")


def test_the_manifest_hash_follows_the_content(dataset):
    first = manifest_sha256(index(dataset))
    assert manifest_sha256(index(dataset)) == first
    Image.new("RGB", (96, 80)).save(dataset.root / "images/val/001.png")
    assert manifest_sha256(index(dataset)) != first
