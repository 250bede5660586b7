"""From image files to masks, with a fitted head: what ``smooseg segment`` does."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import pandas as pd

from ..errors import SmoosegError
from ..images.gdal import require_rasterio
from ..running.progress import progress
from .output.stale import require_one_legend
from .output.tables import write_tables
from .photos import Photo, find_photos
from .pipeline import Work
from .segmenter import Segmenter, require_positive
from .writing import Writer

LOG = logging.getLogger(__name__)
THREADS = 2  # that decode, enlarge and encode
BATCH = 8  # images in a forward pass


@dataclass(frozen=True)
class Outcome:
    """What :func:`segment` did.

    Args:
        shares: One row per mask: image, mask, width, height, and the percent of its pixels with each id's name; see
            :func:`smooseg.pictures.output.tables.with_classes`.
        problems: One "file: what is wrong" for each that has no mask.
        kept: Masks that an earlier run had finished.
        used: Clusters that occur in the masks' views.
        clusters: Clusters that the head has.
    """

    shares: pd.DataFrame
    problems: list[str]
    kept: int
    used: int
    clusters: int


def segment(
    images: list[str | Path] | str | Path,
    head: str | Path,
    out: str | Path,
    *,
    weights: Path | None = None,
    crf: bool = False,
    size: int | None = None,
    scale: float | None = None,
    tile: int | None = None,
    batch: int = BATCH,
    bands: tuple[int, ...] | None = None,
    names: Path | None = None,
    clusters: int | None = None,
    polygons: bool = False,
    memory: Path | None = None,
) -> Outcome:
    """Write a mask and an overlay for every image, and their shares and legend as CSV; finished masks are kept.

    Args:
        images: Image files, folders or globs.
        head, weights, crf, size, scale, tile, names, clusters: See :class:`smooseg.pictures.segmenter.Segmenter`.
        out: Folder to write to.
        batch: Images in a forward pass.
        bands: That are seen of rasters, see :class:`smooseg.images.rasters.Raster`.
        polygons: Whether masks of rasters are written as outlines, too.
        memory: Folder of images that were in memory, which shares call by their names alone.

    Raises:
        SmoosegError: If the head cannot be used, there is no image, or masks of another head lie there; a bad image
            is a problem of the outcome.
    """
    if bands or polygons:
        require_rasterio("--bands" if bands else "--polygons")
    segmenter = Segmenter(Path(head), weights, crf, size, scale, tile, names, clusters)
    photos, problems = find_photos([images] if isinstance(images, str | Path) else images)
    if not photos:
        raise SmoosegError("; ".join(problems) or "no image was given")
    photos = [replace(photo, bands=bands, memory=photo.path.parent == memory) for photo in photos]
    require_one_legend([photo.mask for photo in photos], segmenter.made_from, Path(out))
    return segment_photos(photos, segmenter, Path(out), problems, batch, polygons)


def segment_photos(
    photos: list[Photo], segmenter: Segmenter, out: Path, problems: list[str], batch: int, polygons: bool = False
) -> Outcome:
    """Do what :func:`segment` does, with photos that were found already and the problems of finding them."""
    require_positive(batch=batch)
    work = Work(Writer(segmenter, out, polygons), problems)
    batches = work.batches(photos, batch)
    kept = len(work.records)
    seen = [(group, segmenter.windows(group[0][1])) for group in batches]  # a batch's views have one shape
    at_once = [group for group, windows in seen if windows is None]
    tiled = [(photo, windows) for group, windows in seen if windows for photo, _ in group]
    total = kept + sum(map(len, at_once)) + sum(len(windows) for _, windows in tiled)
    LOG.info("%d images, %d finished before, on %s", len(photos), kept, segmenter.device)
    with (
        ThreadPoolExecutor(THREADS) as pool,
        progress(total=total, initial=kept, unit="view", desc="segment") as bar,
    ):
        for done in chain(work.run(at_once, pool), *(work.tile(*one, batch) for one in tiled)):
            bar.update(done)
    for note, noted in work.writer.notes.items():
        LOG.warning("%s%s: %d images with %s", noted[0].path, ", …" if len(noted) > 1 else "", len(noted), note)
    used = {cluster for record in work.records.values() for cluster in record["clusters"]}
    finished = [(photo.shown, photo.mask, work.records[photo]) for photo in photos if photo in work.records]
    return Outcome(write_tables(finished, segmenter.legend, out), problems, kept, len(used), segmenter.head.clusters)
