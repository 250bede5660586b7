"""Label maps: stores of uint8 (images, size, size), class or cluster ids, one row per image."""

from pathlib import Path

from ..features.store import Store, create_store

CHUNK = 8  # images in a chunk of a label store: with mirror images, one chunk of features


def create_label_store(features: Store, images: int, path: Path, made_from: dict) -> Store:
    """A store for maps of uint8 ids at the size of a feature store's views; one for each image, or training view."""
    size = features.provenance["size"]
    provenance = {"manifest_sha256": features.provenance["manifest_sha256"], "size": size} | made_from
    return create_store(path, (images, size, size), "uint8", CHUNK, provenance, codec="zstd")
