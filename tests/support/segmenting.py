"""A head of the tiny backbone, pictures for it, and the command that segments them."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from smooseg.cli import main
from smooseg.features.backbones import Backbone
from smooseg.features.provenance import file_sha256
from smooseg.heads import save_head
from smooseg.heads.kmeans import KMeansHead
from tests.conftest import TINY_MODEL

SIZE, PATCH, CLUSTERS = 64, 16, 3
NEEDS = {"model": TINY_MODEL, "block": 3, "norm": False, "resample": "nearest", "precision": "float32"}


def picture(width: int = 96, height: int = 80, seed: int = 0) -> Image.Image:
    """A noisy picture of two halves with a bright corner, so that no rotation maps it to itself."""
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), (90, 140, 220))
    pixels[height // 2 :] = 40, 160, 60
    pixels[: height // 3, : width // 3] = 250, 240, 80
    return Image.fromarray((pixels + rng.integers(-30, 30, pixels.shape)).clip(0, 255).astype(np.uint8))


@pytest.fixture
def head(tmp_path, tiny_checkpoint):
    """A head whose clusters are three kinds of patches of the picture, where the workflow would put it."""
    weights = tmp_path / "results" / "weights" / "tiny.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(tiny_checkpoint.read_bytes())
    backbone = Backbone(TINY_MODEL, 3, False, "float32").load(weights).prepare(SIZE, torch.device("cpu"))
    pixels = torch.from_numpy(np.asarray(picture(SIZE, SIZE)).copy())
    model = KMeansHead(64, CLUSTERS, {})
    model.centroids.copy_(model.embed(backbone(pixels[None])[0])[[0, 7, 13]])
    needs = NEEDS | {"weights_sha256": file_sha256(weights), "patch": PATCH, "size": 32, "channels": 64}
    path = tmp_path / "results" / "experiments" / "tiny_kmeans" / "0" / "head.safetensors"
    path.parent.mkdir(parents=True)
    save_head(model, "kmeans", {"dataset": "tiny", "backbone": "tiny", "features": needs}, path)
    return path


@pytest.fixture
def photos(tmp_path):
    """A folder of pictures of several shapes, one of them below a subfolder."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    picture().save(folder / "a.png")
    picture(80, 96, 1).save(folder / "b.v2.jpg")
    picture(700, 90, 2).save(folder / "more" / "c.png")
    (folder / ".hidden.jpg").write_bytes(b"what macOS leaves")
    return folder


def run(*arguments):
    return CliRunner().invoke(main, ["segment", *map(str, arguments)])


def segment(head, out, *images):
    return run(*images, "--head", head, "--out", out, "--size", SIZE)


def ids(path):
    with Image.open(path) as mask:
        assert mask.mode == "P"
        return np.array(mask)
