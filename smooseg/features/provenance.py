"""What a cache must have been made from, for its writer and for every reader to agree on."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from ..errors import SmoosegError
from ..images.manifests import listed_sha256

DECIDING = {"bits", "size", "left", "right", "raster"}  # columns of a manifest that decide more than its hash


def round_to_patch(size: int, patch: int) -> int:
    """Smallest multiple of the patch size (pixels) that is at least ``size``: 320 at patch 14 gives 322."""
    return -(-size // patch) * patch


def block_indices(model: str, block: int | list[int], depth: int) -> list[int]:
    """Numbers of one or several blocks from the first, in the network's order; negative ones count from the last.

    Raises:
        SmoosegError: If the model has no such block, or one is named twice.
    """
    blocks = [block] if isinstance(block, int) else block
    for number in blocks:
        if not -depth <= number < depth:
            raise SmoosegError(f"{model}: block {number} is outside its {depth} blocks")
    indices = sorted({number % depth for number in blocks})
    if len(indices) < len(blocks):
        raise SmoosegError(f"{model}: blocks {blocks} name one of its {depth} blocks twice")
    return indices


def feature_needs(settings: dict, manifest: Path, facts: Path) -> dict:
    """Provenance that decides a feature store's content, apart from the code.

    Args:
        settings: resample, of the backbone's entry :data:`smooseg.settings.held.HELD`, and precision where stated.
        manifest: Parquet file of the views.
        facts: JSON file of what :func:`smooseg.features.weights.fetch_weights` returned.

    Returns:
        The settings, with the number of prefix tokens before the patches; sha256 of manifest and weights, patch and
        size (pixels), channels, bits (the most that an image's values use), and scale (pixels of a view for one of its
        image, the median of all views, or of rasters' windows where there are any); of rasters also their bands, None
        where they differ.

    Raises:
        SmoosegError: If the model has no such block or no class token, or the blocks' patches differ in size.
    """
    deciding = [name for name in pq.read_schema(manifest).names if name in DECIDING]
    views, weights = pd.read_parquet(manifest, columns=deciding), json.loads(Path(facts).read_text("utf-8"))
    model, blocks = settings["model"], weights["blocks"]
    chosen = [blocks[index] for index in block_indices(model, settings["block"], len(blocks))]
    patches = {block["patch"] for block in chosen}
    if len(patches) > 1:
        raise SmoosegError(
            f"{model}: blocks {settings['block']} have patches of {sorted(patches)} pixels; take blocks of one size"
        )
    if settings["prefix"] and not weights["prefix"]:
        raise SmoosegError(f"{model} has no class token: set the backbone's prefix to false")
    patch = patches.pop()
    needs = {
        "prefix": weights["prefix"] if settings["prefix"] else 0,
        "manifest_sha256": listed_sha256(manifest),
        "weights_sha256": weights["sha256"],
        "patch": patch,
        "channels": sum(block["channels"] for block in chosen),
        "bits": int(views["bits"].max()),
        "scale": median_scale(views),
        "size": round_to_patch(int(views["size"].iloc[0]), patch),
    }
    return settings | needs | raster_needs(views)


def median_scale(views: pd.DataFrame) -> float:
    """Pixels of a view for one of its image, the median; photographs do not count where there are rasters."""
    counted = views[views["raster"] != ""] if "raster" in views else views
    return float((counted["size"] / (counted["right"] - counted["left"])).median())


def raster_needs(views: pd.DataFrame) -> dict:
    """Of a manifest with rasters the bands that are seen, None where they differ."""
    if "raster" not in views:
        return {}
    bands = {tuple(json.loads(text)["bands"]) for text in views["raster"].unique() if text}
    return {"bands": list(*bands) if len(bands) == 1 else None}


def file_sha256(path: Path) -> str:
    """sha256 of a file, as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
