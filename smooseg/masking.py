"""From image files to masks, with a fitted head: what ``smooseg segment`` does.

A photograph is decoded twice, for its view and for its overlay, so that however many are in work, only as many
as there are threads are in memory at full size.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched, groupby, pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import SmoosegError
from .legend import Legend
from .masks import OVERLAY_SUFFIX, overlay_path, read_record, scaled_ids, write_csv, write_mask
from .photos import Photo, decode_photo, find_photos, read_view, upright_size
from .progress import progress
from .segmenter import Segmenter

SHARES, LEGEND = "shares.csv", "legend.csv"  # what lies beside the masks
THREADS = 2  # that decode, enlarge and encode


@dataclass(frozen=True)
class Outcome:
    """What :func:`segment` did.

    Args:
        shares: One row per mask: image, mask, width, height, and the percent of its pixels with each id's name.
        problems: One "file: what is wrong" for each that has no mask.
        kept: Masks that an earlier run had finished.
    """

    shares: pd.DataFrame
    problems: list[str]
    kept: int


def segment(
    images: list[str | Path] | str | Path,
    head: str | Path,
    out: str | Path,
    *,
    weights: Path | None = None,
    crf: bool = False,
    size: int | None = None,
    batch: int = 8,
) -> Outcome:
    """Write a mask and an overlay for every image, and their shares and legend as CSV; finished masks are kept.

    Args:
        images: Image files, folders or globs.
        head, weights, crf, size: See :class:`Segmenter`.
        out: Folder to write to.
        batch: Images in a forward pass.

    Raises:
        SmoosegError: If the head cannot be used or there is no image; a bad image is a problem of the outcome.
    """
    segmenter, out = Segmenter(Path(head), weights, crf, size), Path(out)
    photos, problems = find_photos([images] if isinstance(images, str | Path) else images, out)
    if not photos:
        raise SmoosegError("; ".join(problems) or "no image was given")
    work = Work(segmenter, out, problems)
    waiting = [photo for photo in photos if work.is_due(photo)]
    kept = len(work.records)
    logging.info("%d images, %d finished before, on %s", len(photos), kept, segmenter.device)
    with (
        ThreadPoolExecutor(THREADS) as pool,
        progress(total=kept + len(waiting), initial=kept, unit="image", desc="segment") as bar,
    ):
        for photos_of_shape in work.batches(batch):
            work.do(photos_of_shape, pool)
            bar.update(len(photos_of_shape))
    return Outcome(work.write_tables(photos), problems, kept)
