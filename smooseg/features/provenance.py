"""What a cache must have been made from, for its writer and for every reader to agree on."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from ..errors import SmoosegError


def manifest_sha256(manifest: pd.DataFrame) -> str:
    """Hash of a manifest's content, independent of the Parquet writer's version."""
    return hashlib.sha256(manifest.to_csv(index=False).encode()).hexdigest()


def round_to_patch(size: int, patch: int) -> int:
    """Smallest multiple of the patch size (pixels) that is at least ``size``: 320 at patch 14 gives 322."""
    return -(-size // patch) * patch


def block_index(model: str, block: int, depth: int) -> int:
    """Number of a block from the first, where a negative one counts from the last.

    Raises:
        SmoosegError: If the model has no such block.
    """
    if not -depth <= block < depth:
        raise SmoosegError(f"{model}: block {block} is outside its {depth} blocks")
    return block % depth


def feature_needs(settings: dict, manifest: Path, facts: Path) -> dict:
    """Provenance that decides a feature store's content, apart from the code.

    Args:
        settings: model, block, norm, resample and precision, from the configuration.
        manifest: Parquet file of the views.
        facts: JSON file of what :func:`smooseg.features.weights.fetch_weights` returned.

    Returns:
        The settings, sha256 of manifest and weights, patch and size (pixels), channels, bits (the most that an
        image's values use), and scale (pixels of a view for one of its image, the median of all views).

    Raises:
        SmoosegError: If the model has no such block.
    """
    views, weights = pd.read_parquet(manifest), json.loads(Path(facts).read_text("utf-8"))
    blocks = weights["blocks"]
    shape = blocks[block_index(settings["model"], settings["block"], len(blocks))]
    return settings | {
        "manifest_sha256": manifest_sha256(views),
        "weights_sha256": weights["sha256"],
        "patch": shape["patch"],
        "channels": shape["channels"],
        "bits": int(views["bits"].max()),
        "scale": float((views["size"] / (views["right"] - views["left"])).median()),
        "size": round_to_patch(int(views["size"].iloc[0]), shape["patch"]),
    }


def file_sha256(path: Path) -> str:
    """sha256 of a file, as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
