"""A few pictures, their features and a model of them, and quick settings of every head."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import smooseg
from tests.conftest import TINY_MODEL, write_images

# settings with which each head is fitted in a second; those of others are small already
QUICK = {
    "cause": {"steps": 3, "batch": 4, "codes": 8, "projection": 8, "bank": 2, "block": 2},
    "eagle": {"steps": 3, "batch": 4, "warmup": 1, "patches": 4, "dimensions": 8},
    "equss": {"steps": 3, "batch": 4, "books": 2, "words": 4, "dimensions": 8},
    "hp": {"steps": 3, "batch": 4, "pool": 8, "warmup": 1, "dimensions": 8},
    "kmeans": {"samples": 1000},
    "ppap": {"steps": 3, "batch": 4},
    "primaps": {"steps": 3, "batch": 4, "start_steps": 1},
    "smooseg": {"steps": 3, "batch": 4},
    "smooseg_plus": {"samples": 1000, "partitions": 2, "repeats": 1},
    "stego": {"steps": 3, "batch": 4, "samples": 1000, "patches": 4, "neighbours": 2, "random_images": 1},
}
WITH_IMAGES = {"ppap": "the backbone's weights", "primaps": "masks of the images"}  # heads that features alone lack


@pytest.fixture(scope="module")
def backbone(tiny_checkpoint) -> dict:
    """An entry as in the catalogue."""
    return {"model": TINY_MODEL, "weights": {"source": "file", "path": str(tiny_checkpoint)}, "block": 3, "norm": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder of four pictures, and of their labels."""
    root = tmp_path_factory.mktemp("user")
    write_images(root, "photos", 4)
    return root


def opened(folder: Path) -> list[np.ndarray]:
    """PNGs of a folder as arrays."""
    return [np.asarray(Image.open(path)) for path in sorted(folder.rglob("*.png"))]


@pytest.fixture(scope="module")
def features(folder, backbone) -> smooseg.Features:
    return smooseg.extract(folder / "images", folder / "work", backbone, size=32)


@pytest.fixture(scope="module")
def model(features) -> smooseg.Model:
    return smooseg.fit(features, 2, "kmeans", samples=1000)
