"""What the library writes where: nothing of the user's is deleted, and no call replaces what another one gave."""

import numpy as np
import pytest

import smooseg
from smooseg import SmoosegError, extract
from tests.conftest import TINY_MODEL, write_images


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
