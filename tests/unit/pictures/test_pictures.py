"""What the masks of people's pictures rest on: shapes of views, and maps at the size of a photograph."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smooseg.features.backbones import Backbone
from smooseg.features.provenance import round_to_patch
from smooseg.pictures.output.legend import Legend
from smooseg.pictures.output.masks import palette_image, scaled_ids
from smooseg.pictures.output.overlays import draw_legend, save_overlay
from smooseg.pictures.output.tables import percents
from smooseg.pictures.shapes import LONGEST, ShapedBackbone, view_shape
from tests.conftest import TINY_MODEL


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (4000, 3000, (322, 434)),
        (3000, 4000, (434, 322)),
        (322, 322, (322, 322)),
        (10_000, 1000, (322, 3220)),
        (9, 1, (112, 966)),
        (5000, 1, (14, 5000 // 14 * 14)),
    ],
)
def test_views_keep_the_aspect_on_whole_patches(width, height, shape):
    assert view_shape(width, height, 320, 14) == shape


@given(*[st.integers(1, 40_000)] * 2, st.integers(16, 1024), st.sampled_from([8, 14, 16, 32]))
def test_views_of_any_size_are_whole_patches_and_long_ones_no_larger_than_their_image(width, height, size, patch):
    view = view_shape(width, height, size, patch)
    longest = max(LONGEST * round_to_patch(size, patch), *(width, height))
    assert all(side % patch == 0 and patch <= side <= longest + patch / 2 for side in view)
    assert min(view) <= round_to_patch(size, patch)
    assert (view[0] <= view[1]) == (height <= width) or view[0] == view[1]


def test_a_backbone_gives_each_shape_what_a_fresh_one_does(tiny_checkpoint):
    cpu, settings = torch.device("cpu"), (TINY_MODEL, 3, False, "float32")
    model = ShapedBackbone(*settings).load(tiny_checkpoint)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))
    fresh = Backbone(*settings).load(tiny_checkpoint).prepare(64, cpu)(pixels)
    wide = Backbone(*settings).load(tiny_checkpoint)
    wide.model.set_input_size(img_size=(32, 64))
    wide.eval()
    for _ in range(2):
        torch.testing.assert_close(model.prepare_shape((64, 64), cpu)(pixels), fresh, rtol=0, atol=0)
        features = model.prepare_shape((32, 64), cpu)(pixels[:, :32])
        torch.testing.assert_close(features, wide(pixels[:, :32]), rtol=0, atol=0)
    assert features.shape == (2, 8, 64)


@pytest.mark.parametrize("size", [(50, 40), (64, 30), (20, 12), (7, 9), (600, 33)])
def test_ids_are_scaled_as_the_largest_of_upsampled_indicators(size):
    maps = np.random.default_rng(0).integers(0, 4, (20, 12)).astype(np.uint8)
    scaled = scaled_ids(maps, *size)
    indicators = torch.nn.functional.one_hot(torch.from_numpy(maps).long(), 4).permute(2, 0, 1).double()
    shares = torch.nn.functional.interpolate(indicators[None], size, mode="bilinear", align_corners=False)[0]
    chosen = shares.gather(0, torch.from_numpy(scaled).long()[None])[0]
    torch.testing.assert_close(chosen, shares.max(0).values, rtol=0, atol=1e-5)
    if size == maps.shape:
        np.testing.assert_array_equal(scaled, maps)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30).filter(any))
def test_percents_sum_to_100_and_are_right_to_a_thousandth(counts):
    found = percents(counts)
    assert sum(round(1000 * share) for share in found) == 100_000
    np.testing.assert_allclose(found, 100 * np.array(counts) / sum(counts), atol=1.01e-3)


def test_thirds_are_the_same_but_for_what_is_left():
    assert percents([1, 1, 1]) == [33.334, 33.333, 33.333]


def test_a_legend_names_what_occurs_and_wraps(tmp_path):
    legend = Legend({i: f"name {i}" for i in range(4)}, None)
    counts = np.zeros(256, int)
    counts[[1, 3, 255]] = 60, 30, 10
    wide, narrow = draw_legend(400, 10, legend, counts), draw_legend(100, 10, legend, counts)
    assert (wide.size, narrow.size) == ((400, 20), (100, 60))
    colours = {colour for _, colour in wide.getcolors(4096)}
    shown = {tuple(map(int, legend.palette[i])) for i in (1, 3, 255)}
    assert shown <= colours and tuple(map(int, legend.palette[0])) not in colours
    assert narrow.getpixel((10, 10)) == tuple(map(int, legend.palette[1]))  # the most frequent first
    ids = np.zeros((10, 9000), np.uint8)
    save_overlay(Image.new("RGB", (9000, 10)), palette_image(ids, legend), legend, tmp_path / "a.png")
    with Image.open(tmp_path / "a.overlay.jpg") as overlay:
        assert overlay.width == 8192
