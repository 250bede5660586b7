"""Masks of other pictures that lie in the folder that masks are written to."""

import logging
from pathlib import Path

from ...errors import SmoosegError, list_some
from ..photos import Photo
from ..segmenter import Segmenter
from .masks import NAMES, masks_below, overlay_path

LOG = logging.getLogger(__name__)
MEANING = ("head_sha256", "assignment", "names")  # of what a mask was made from: what its ids depend on


def other_masks(photos: list[Photo], out: Path) -> dict[Path, dict]:
    """Masks in a folder that are of other pictures, with their records."""
    mine = {out / photo.mask for photo in photos}
    return {path: record for path, record in masks_below(out) if path not in mine}


def require_one_legend(photos: list[Photo], segmenter: Segmenter, out: Path) -> None:
    """Raise if a folder holds masks of other pictures whose ids mean something else than the legend will say."""
    meaning = {key: segmenter.made_from[key] for key in MEANING}
    foreign = [
        path.relative_to(out).as_posix()
        for path, record in other_masks(photos, out).items()
        if {key: record["made_from"].get(key) for key in MEANING} != meaning
    ]
    if foreign:
        raise SmoosegError(
            f"{out}: holds {len(foreign)} masks of other pictures whose ids mean something else "
            f"({list_some(foreign)}); give another --out, or delete them"
        )


def remove_other_masks(photos: list[Photo], out: Path) -> None:
    """Remove the masks and overlays of pictures that are gone."""
    others = other_masks(photos, out)
    for path in others:
        path.unlink()
        overlay_path(path).unlink(missing_ok=True)
        path.with_name(path.name + NAMES).unlink(missing_ok=True)
    if others:
        LOG.warning("%s: %d masks of pictures that are gone were removed", out, len(others))
