"""Heads, label maps and settings of the CRF that evaluation is tested with."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from smooseg.evaluation.refinement import ENGINES
from smooseg.heads import Head, save_head
from smooseg.heads.kmeans import KMeansHead
from smooseg.images.datasets import open_dataset
from smooseg.images.imaging import read_views
from smooseg.images.indexing import index_views
from smooseg.images.manifests import manifest_sha256
from smooseg.settings.schema import load_schema, with_defaults
from tests.conftest import make_store, write_images

SIZE, PATCH = 32, 8
INSTALLED = [engine for engine, package in ENGINES.items() if find_spec(package)]


class Given(Head):
    """Takes features as embeddings and axes as clusters."""

    def learn(self, *arguments, **options):
        raise NotImplementedError

    def embed(self, features):
        return features.float()

    def classifier(self):
        return torch.eye(self.clusters), torch.zeros(self.clusters)


def make_case(tmp_path: Path, images: int):
    """Labelled images, their mean colours as features, and a head that knows the two colours."""
    write_images(tmp_path / "data", "val", images)
    dataset = open_dataset({"root": tmp_path / "data", "layout": "folder", "classes": ["sky", "ground"], "void": 255})
    manifest = index_views(dataset, "val", "whole", SIZE, evaluation=True, workers=1)
    manifest.to_parquet(tmp_path / "views.parquet")
    pixels = read_views(dataset.root, manifest, SIZE, "nearest") / 255.0 - 0.5
    side = SIZE // PATCH
    features = (
        pixels.reshape(len(manifest), side, PATCH, side, PATCH, 3).mean((2, 4)).reshape(len(manifest), side * side, 3)
    )
    make_store(
        tmp_path / "f.zarr",
        features.astype(np.float16),
        size=SIZE,
        resample="nearest",
        manifest_sha256=manifest_sha256(manifest),
    )
    head = KMeansHead(3, 2, {})
    colours = torch.tensor([[90.0, 140, 220], [40, 160, 60]]) / 255 - 0.5
    head.centroids.copy_(torch.nn.functional.normalize(colours, dim=1))
    save_head(head, "kmeans", {}, tmp_path / "head.safetensors")
    return tmp_path, dataset, tmp_path / "views.parquet"


def crf_settings(engine: str = "native", **changes) -> dict:
    schema = load_schema()
    return with_defaults({}, schema["properties"]["crf"], schema) | {"engine": engine} | changes
