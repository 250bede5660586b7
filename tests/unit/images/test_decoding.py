"""Pictures of more than 8 bits, transparency, nodata and pages: what reaches the backbone, to the value."""

import io
import logging

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from smooseg.errors import SmoosegError
from smooseg.features.extraction import cover_void
from smooseg.images import indexing
from smooseg.images.datasets import open_dataset
from smooseg.images.decoding import read_picture
from smooseg.images.imaging import read_views, read_views_and_void
from smooseg.images.indexing import index_part, index_views, join_parts
from smooseg.images.manifests import listed_sha256, manifest_sha256, write_manifest
from tests.support.deep import png, tiff

RNG = np.random.default_rng(0)


def deep(channels: int, largest: int, shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    """uint16 noise up to a largest value that occurs; alpha, the last of two or four channels, is full."""
    values = RNG.integers(0, largest + 1, (*shape, channels)).astype(np.uint16)
    values[0, 0] = largest
    if channels in (2, 4):
        values[..., -1] = 65535
    return values


def seen(picture) -> np.ndarray:
    return np.asarray(picture.rgb)


def eight(values: np.ndarray, bits: int) -> np.ndarray:
    colours = values[..., : 3 if values.shape[-1] > 2 else 1]
    return np.broadcast_to((colours >> (bits - 8)).astype(np.uint8), (*values.shape[:2], 3))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("largest", "bits"), [(200, 8), (255, 8), (1000, 10), (4095, 12), (4096, 13), (65535, 16)])
def test_the_upper_eight_of_the_bits_that_are_used_are_kept(channels, largest, bits):
    values = deep(channels, largest)
    for data in [png(values), *([tiff(values), tiff(values, ">")] if channels != 2 else [])]:
        picture = read_picture(data)
        assert (picture.bits, picture.stated, picture.void) == (bits, False, None)
        np.testing.assert_array_equal(seen(picture), eight(values, bits))


@pytest.mark.parametrize("write", [lambda v: png(v, 12), lambda v: tiff(v, t281=4095), lambda v: tiff(v, t341=4095)])
@pytest.mark.parametrize("channels", [1, 3])
def test_bits_that_a_file_states_count_where_its_values_fit(write, channels):
    dim = deep(channels, 600)
    picture = read_picture(write(dim), bits=16)
    assert (picture.bits, picture.stated) == (12, True)
    np.testing.assert_array_equal(seen(picture), eight(dim, 12))
    assert read_picture(write(deep(channels, 60_000))).bits == 16  # as PNG asks of 12 bits: scaled up


def test_other_files_of_16_bits_are_scaled_by_what_they_state(tmp_path):
    values = deep(1, 1000)[..., 0]
    (tmp_path / "a.pgm").write_bytes(b"P5 32 24 4095\n" + values.astype(">u2").tobytes())
    picture = read_picture(tmp_path / "a.pgm")
    np.testing.assert_allclose(seen(picture)[..., 0], values / 4095 * 255, atol=1)
    assert picture.stated


def test_what_would_be_read_wrongly_is_refused():
    with pytest.raises(ValueError, match="16-bit bands lie one after the other"):
        read_picture(tiff(deep(3, 4095), planes=2))


def folder_of(tmp_path, **files: bytes):
    images = tmp_path / "images" / "val"
    images.mkdir(parents=True)
    for name, data in files.items():
        (images / name.replace("_", ".")).write_bytes(data)
    return open_dataset({"root": tmp_path, "layout": "folder"})


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_pictures_of_a_data_set_share_the_range_that_its_largest_value_needs(tmp_path, caplog, monkeypatch, at_once):
    monkeypatch.setattr(indexing, "AT_ONCE", at_once)
    caplog.set_level(logging.INFO)
    dark, bright, stated = deep(3, 300), deep(3, 4000), deep(3, 900)
    plain = Image.fromarray(eight(bright, 12).copy())
    dataset = folder_of(tmp_path, a_png=png(dark), b_tif=tiff(bright), c_png=png(stated, 10), d_png=saved(plain))
    manifest = index_views(dataset, "val", "whole", 24, evaluation=False, workers=2)
    assert manifest["bits"].tolist() == [12, 12, 10, 8]
    found = read_views(tmp_path, manifest, 24, "nearest")
    for view, values, bits in zip(found, (dark, bright, stated), (12, 12, 10), strict=False):
        np.testing.assert_array_equal(view, eight(values, bits)[:, 4:28])
    assert [record.getMessage() for record in caplog.records] == [
        "1 images (images/val/c.png) hold more than 8 bits: 10 are used, of which the upper 8 are kept",
        "2 images (images/val/a.png, images/val/b.tif) hold more than 8 bits: 12 are used, of which the upper 8 are kept",
    ]


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_parts_of_the_images_join_to_the_same_manifest(tmp_path, number):
    void = saved(Image.new("RGBA", (32, 24)))  # a part of its own: it has no view
    files = {"a_png": png(deep(3, 300)), "b_png": void, "c_tif": tiff(deep(3, 4000)), "d_png": png(deep(3, 900), 10)}
    dataset = folder_of(tmp_path, **files)
    paths = [tmp_path / f"{part}.parquet" for part in range(1, number + 1)]
    for part, path in enumerate(paths, 1):
        write_manifest(path, index_part(dataset, "val", "five", 12, False, 1, part, number))
    join_parts(paths, "every view of val", tmp_path / "views.parquet")
    whole = index_views(dataset, "val", "five", 12, evaluation=False, workers=2)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "views.parquet"), whole)
    assert whole["bits"].tolist() == [12] * 10 + [10] * 5
    assert listed_sha256(tmp_path / "views.parquet") == manifest_sha256(whole)


def test_the_bits_of_a_picture_without_a_view_count(tmp_path):
    colours = np.dstack([deep(3, 4000), np.zeros((24, 32), np.uint16)])
    colours[:6, :8, 3] = 65535  # where it is not transparent is less than half of every view
    dataset = folder_of(tmp_path, a_png=png(deep(3, 300)), b_png=png(colours))
    assert index_views(dataset, "val", "five", 12, evaluation=False, workers=1)["bits"].tolist() == [12] * 5


def test_a_bad_image_leaves_no_list_of_its_part(tmp_path):
    dataset = folder_of(tmp_path, a_png=png(deep(3, 300)), b_png=b"no picture", c_png=b"")
    path = tmp_path / "part.parquet"
    with pytest.raises(SmoosegError, match=r"b\.png.*c\.png"):
        write_manifest(path, index_part(dataset, "val", "whole", 12, False, 1))
    assert not list(tmp_path.glob("*part*"))


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def cut_out(kind: str) -> tuple[bytes, np.ndarray]:
    """A picture whose left third is void, in one of the ways to say so, and where it is not."""
    colours = RNG.integers(40, 200, (24, 32, 3)).astype(np.uint8)
    valid = np.ones((24, 32), bool)
    valid[:, :11] = False
    black = np.where(valid[..., None], colours, 0).astype(np.uint8)
    if kind == "alpha":
        return saved(Image.fromarray(np.dstack([black, np.where(valid, 255, 0).astype(np.uint8)]))), valid
    if kind == "transparent colour":
        return saved(Image.fromarray(black), transparency=(0, 0, 0)), valid
    if kind == "palette":
        palette = Image.fromarray(np.where(valid, 1, 0).astype(np.uint8)).convert("P")
        palette.putpalette([0, 0, 0, *colours[0, 20]] + [9] * 762)
        return saved(palette, "GIF", transparency=0), valid
    values = np.where(valid[..., None], 10 * colours.astype(np.uint16), 65535 if kind == "nodata" else 0)
    if kind == "nodata":
        return tiff(values.astype(np.uint16), t42113=b"65535\0"), valid
    return png(np.dstack([values, np.where(valid, 65535, 0)]).astype(np.uint16)), valid


@pytest.mark.parametrize("kind", ["alpha", "transparent colour", "palette", "nodata", "16-bit alpha"])
def test_pixels_without_a_value_are_void_and_have_the_mean_colour_of_the_others(kind):
    data, valid = cut_out(kind)
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.void, ~valid)
    mean = seen(picture)[valid].mean(0)
    np.testing.assert_allclose(seen(picture)[~valid], np.broadcast_to(mean, ((~valid).sum(), 3)), atol=0.51)
    if "16" in kind or kind == "nodata":
        assert picture.bits == 11  # of the largest valid value; nodata has more


def test_void_follows_its_view_and_mostly_void_training_views_are_left_out(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    data, valid = cut_out("alpha")
    dataset = folder_of(tmp_path, a_png=data)
    manifest = index_views(dataset, "val", "whole", 24, evaluation=True, workers=1)
    _, void = read_views_and_void(tmp_path, manifest, 24, "bilinear")
    np.testing.assert_array_equal(void, [~valid[:, 4:28], ~valid[:, 27:3:-1]])
    training = index_views(dataset, "val", "five", 12, evaluation=False, workers=1)
    assert training["left"].tolist() == [18, 18, 10]  # the two on the left are void for the most part
    assert "2 of 5 views are mostly void and left out" in caplog.text
    empty = saved(Image.new("RGBA", (8, 8)))
    with pytest.raises(SmoosegError, match="every view of val is void"):
        index_views(folder_of(tmp_path / "b", a_png=empty), "val", "five", 12, evaluation=False, workers=1)


def test_a_void_patch_has_the_feature_of_the_nearest_that_is_not():
    features = np.arange(2 * 9, dtype=np.float16).reshape(2, 9, 1)
    void = np.zeros((2, 12, 12), bool)
    void[0, :, :4] = True  # the first column of patches
    void[0, :1] = True  # a quarter of the first row of patches: not most of it
    void[1] = True
    expected = features.copy()
    expected[0, [0, 3, 6]] = features[0, [1, 4, 7]]
    cover_void(features, void, 4)
    np.testing.assert_array_equal(features, expected)


def frames(kind: str, **options) -> bytes:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    return saved(first, kind, save_all=True, append_images=[second, second], **options)


@pytest.mark.parametrize(("kind", "pages"), [("TIFF", 3), ("GIF", 2), ("WEBP", 3), ("PNG", 2), ("MPO", 1), ("JPEG", 1)])
def test_of_several_pages_the_first_is_taken_and_their_number_said(kind, pages, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    data = frames(kind) if kind != "JPEG" else saved(Image.new("RGB", (8, 8), "red"), "JPEG")
    picture = read_picture(data)
    assert (picture.pages > 1) == (pages > 1)
    assert seen(picture)[4, 4, 0] > 250 and seen(picture)[4, 4, 2] < 5
    index_views(folder_of(tmp_path, a_png=data), "val", "whole", 16, evaluation=True, workers=1)
    said = "1 images (images/val/a.png) have several pages or frames: the first is taken"
    assert (said in caplog.text) == (pages > 1)


def test_smaller_copies_in_a_tiff_are_no_pages():
    pages = [Image.new("RGB", (side, side)) for side in (16, 8, 4)]
    for copy in pages[1:]:
        copy.encoderinfo = {"tiffinfo": {254: 1}}
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    assert read_picture(data).pages == 1


def test_nodata_of_one_channel_needs_no_bits():
    values = np.full((8, 8, 3), 1600, np.uint16)
    values[2, 2, 1] = 65535
    picture = read_picture(tiff(values, t42113=b"65535\0"))
    assert (picture.bits, picture.void) == (11, None)
    assert np.asarray(picture.rgb)[0, 0].tolist() == [1600 >> 3] * 3
