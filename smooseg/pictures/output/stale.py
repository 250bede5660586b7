"""Masks of other pictures that lie in the folder that masks are written to."""

import logging
from collections.abc import Iterable
from pathlib import Path

from ...errors import SmoosegError, list_some
from .masks import NAMES, masks_below, overlay_path

LOG = logging.getLogger(__name__)
MEANING = ("head_sha256", "assignment", "names")  # of what a mask was made from: what its ids depend on


def other_masks(mine: Iterable[Path], out: Path) -> dict[Path, dict]:
    """Masks in a folder besides some, which are named by their paths there, with their records."""
    paths = {out / path for path in mine}
    return {path: record for path, record in masks_below(out) if path not in paths}


def require_one_legend(mine: Iterable[Path], made_from: dict, out: Path) -> None:
    """Raise if a folder holds masks of other pictures whose ids mean something else than the legend will say.

    Args:
        mine: Masks that will be written, by their paths in the folder.
        made_from: What these are made from, see :class:`smooseg.pictures.segmenter.Segmenter`.
        out: The folder.
    """
    meaning = {key: made_from[key] for key in MEANING}
    foreign = [
        path.relative_to(out).as_posix()
        for path, record in other_masks(mine, out).items()
        if {key: record["made_from"].get(key) for key in MEANING} != meaning
    ]
    if foreign:
        raise SmoosegError(
            f"{out}: holds {len(foreign)} masks of other pictures whose ids mean something else "
            f"({list_some(foreign)}); give another --out, or delete them"
        )


def remove_other_masks(mine: Iterable[Path], out: Path) -> None:
    """Remove the masks and overlays of pictures that are gone; ``mine`` are those of the others."""
    others = other_masks(mine, out)
    for path in others:
        path.unlink()
        overlay_path(path).unlink(missing_ok=True)
        path.with_name(path.name + NAMES).unlink(missing_ok=True)
    if others:
        LOG.warning("%s: %d masks of pictures that are gone were removed", out, len(others))
