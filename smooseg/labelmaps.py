"""Label maps: stores of uint8 (images, size, size), class or cluster ids, one row per image."""

from pathlib import Path

from .store import Store, create_store

CHUNK = 8  # images in a chunk of a label store: with mirror images, one chunk of features


def create_label_store(features: Store, path: Path, made_from: dict) -> Store:
    """A store for one map of uint8 ids for each image of an evaluation feature store."""
    size = features.provenance["size"]
    provenance = {"manifest_sha256": features.provenance["manifest_sha256"], "size": size} | made_from
    return create_store(path, (features.views // 2, size, size), "uint8", CHUNK, provenance, codec="zstd")
