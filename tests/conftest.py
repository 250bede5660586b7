"""Small real inputs: images with labels on disk, a tiny backbone's checkpoint, feature stores."""

import json
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # of this process and those it starts: tests share few cores

import boto3
import numpy as np
import pytest
import timm
import torch
from moto.server import ThreadedMotoServer
from PIL import Image
from safetensors.torch import save_file

from smooseg.features.store import create_store
from smooseg.settings.files import over_catalogue, read_config

pytest.register_assert_rewrite("tests.support")  # helpers say as much as tests when they fail
ROOT = Path(__file__).parent.parent
CAMVID = ROOT.parent / "shared" / "data" / "camvid"
SECRET = "what-no-log-may-show"  # of the bucket
TINY_MODEL = "test_vit"  # timm's own test model: 64 channels, patch 16


def shipped_config() -> dict:
    """The configuration that smooseg comes with, before it is resolved."""
    return over_catalogue(read_config(ROOT / "config.yaml"))


@pytest.fixture
def camvid() -> Path:
    """The real CamVid, where it lies beside the repository."""
    if not CAMVID.is_dir():
        pytest.skip("CamVid is not at ../shared/data/camvid")
    return CAMVID


@pytest.fixture(scope="session")
def golden() -> dict:
    """Reference values of the energy and the metric, and the formulas of their inputs."""
    return json.loads((ROOT / "tests" / "reference" / "golden.json").read_text())


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """A random checkpoint of the tiny model, as safetensors."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(timm.create_model(TINY_MODEL, num_classes=0).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def bucket() -> str:
    """URL of an empty bucket; address and credentials are in the environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", SECRET), ("DEFAULT_REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        boto3.client("s3").create_bucket(Bucket="caches")
        yield "s3://caches"
    server.stop()


def file_source(path: Path, sha256: str | None = None) -> dict:
    """A backbone's resolved ``weights`` entry for a checkpoint on disk."""
    return {"source": "file", "path": str(path), "requirement": None, "sha256": sha256}


def write_images(root: Path, split: str, number: int, size: tuple[int, int] = (96, 80), seed: int = 0) -> None:
    """Images of two flat, noisy halves and their labels, in the folder layout."""
    rng = np.random.default_rng(seed)
    for kind in ("images", "labels"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    width, height = size
    for i in range(number):
        label = np.zeros((height, width), np.uint8)
        label[int(height * rng.uniform(0.3, 0.7)) :] = 1
        label[:2, :2] = 255
        image = np.where(label[..., None] == 1, (40, 160, 60), (90, 140, 220)) + rng.integers(
            -30, 30, (height, width, 3)
        )
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / "images" / split / f"{i:03d}.png")
        Image.fromarray(label).save(root / "labels" / split / f"{i:03d}.png")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder data set with 4 training and 3 validation images of classes up and down."""
    write_images(tmp_path / "data", "train", 4)
    write_images(tmp_path / "data", "val", 3, seed=1)
    return tmp_path / "data"


def make_store(path: Path, features: np.ndarray, chunk: int = 16, **provenance):
    """A complete store that holds ``features``."""
    store = create_store(path, features.shape, str(features.dtype), chunk, {"made": "by a test", **provenance}, "raw")
    for start, stop in store.blocks(chunk):
        store.write(start, features[start:stop])
    store.finish()
    return store


def clustered_features(views: int, patches: int = 16, channels: int = 32, kinds: int = 3, seed: int = 0):
    """Features of patches that belong to separate kinds: float16 features, and the kinds (views, patches)."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(kinds, channels))
    truth = rng.integers(kinds, size=(views, patches))
    return (centres[truth] + 0.3 * rng.normal(size=(views, patches, channels))).astype(np.float16), truth
