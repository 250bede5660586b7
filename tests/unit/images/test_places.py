"""Labels lie where their image does: corners are compared in pixels, coordinate systems without their heights."""

import numpy as np
import pytest
from affine import Affine
from rasterio.control import GroundControlPoint

from smooseg.errors import SmoosegError
from smooseg.images.datasets.raster import require_same_place
from tests.support.rasters import write

WIDTH, HEIGHT = 120, 100
METRES = Affine(0.1, 0, 500_000, 0, -0.1, 5_000_000)
DEGREES = Affine(2e-7, 0, 15, 0, -2e-7, 45)
UTM = "EPSG:32633"


def points(right: float = 0.0) -> list[GroundControlPoint]:
    """Control points of a raster that is bent a little, and moved right by some pixels."""
    places = [(row, column) for row in (0, HEIGHT / 2, HEIGHT) for column in (0, WIDTH / 2, WIDTH)]
    return [
        GroundControlPoint(row, column, 500_000 + 0.1 * (column + right), 5_000_000 - 0.1 * row + 1e-5 * row * column)
        for row, column in places
    ]


def check(folder, one: dict, other: dict, size=(HEIGHT, WIDTH)) -> None:
    """Compare a label and an image at places."""
    image = write(folder / "image.tif", np.zeros((3, HEIGHT, WIDTH), np.uint8), **other)
    require_same_place(write(folder / "label.tif", np.zeros((1, *size), np.uint8), **one), image)


def moved(place: Affine, pixels: float) -> Affine:
    return place @ Affine.translation(pixels, 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"crs": UTM, "transform": moved(METRES, 1e-4)}, {"crs": UTM, "transform": METRES}),
        ({"crs": UTM, "transform": METRES}, {"crs": "EPSG:32633+5773", "transform": METRES}),
        ({"crs": "EPSG:32633+4326", "transform": METRES}, {"crs": UTM, "transform": METRES}),
        ({"crs": "EPSG:4979", "transform": moved(DEGREES, 0.05)}, {"crs": "EPSG:4326", "transform": DEGREES}),
        ({"crs": UTM, "gcps": points()}, {"crs": UTM, "gcps": points(0.01)}),
        ({"transform": moved(METRES, 9)}, {"crs": UTM, "transform": METRES}),  # in a system that nobody knows
        ({}, {"crs": UTM, "transform": METRES}),
    ],
)
def test_what_is_less_than_a_tenth_of_a_pixel_or_a_height_apart_is_the_same_place(tmp_path, one, other):
    check(tmp_path, one, other)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"crs": UTM, "transform": moved(METRES, 0.2)}, {"crs": UTM, "transform": METRES}, "by 0.2 pixels"),
        (
            {"crs": "EPSG:4326", "transform": moved(DEGREES, 4)},
            {"crs": "EPSG:4326", "transform": DEGREES},
            "by 4 pixels",
        ),
        (  # pixels of five times the size
            {"crs": "EPSG:4326", "transform": DEGREES @ Affine.scale(5)},
            {"crs": "EPSG:4326", "transform": DEGREES},
            "by 480 pixels",
        ),
        ({"crs": UTM, "transform": METRES}, {"crs": "EPSG:32632", "transform": METRES}, "by 4,7.*,.* pixels"),
        (
            {"crs": 'LOCAL_CS["site",UNIT["metre",1]]', "transform": METRES},
            {"crs": UTM, "transform": METRES},
            "in another coordinate system",
        ),
        ({"crs": UTM, "gcps": points(3)}, {"crs": UTM, "gcps": points()}, "by 3 pixels"),
        ({"crs": UTM, "transform": moved(METRES, 3)}, {"crs": UTM, "gcps": points()}, "by 3 pixels"),
    ],
)
def test_what_is_farther_apart_is_refused_and_by_how_many_pixels(tmp_path, one, other, said):
    with pytest.raises(SmoosegError, match=rf"label\.tif: lies elsewhere than .*image\.tif \({said}\); labels are of"):
        check(tmp_path, one, other)


def test_a_label_of_other_pixels_in_the_same_place_is_left_to_the_check_of_sizes(tmp_path):
    coarse = {"crs": UTM, "transform": METRES @ Affine.scale(2)}
    check(tmp_path, coarse, {"crs": UTM, "transform": METRES}, (HEIGHT // 2, WIDTH // 2))


def test_a_palette_lies_somewhere_too(tmp_path):
    image = write(tmp_path / "image.tif", np.zeros((3, HEIGHT, WIDTH), np.uint8), crs=UTM, transform=METRES)
    label = write(
        tmp_path / "label.tif", np.zeros((1, HEIGHT, WIDTH), np.uint8), nbits=1, crs=UTM, transform=moved(METRES, 7)
    )
    with pytest.raises(SmoosegError, match="by 7 pixels"):
        require_same_place(label, image)
