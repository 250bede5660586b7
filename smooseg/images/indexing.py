"""List the views of a data set: one row each, in a manifest. Several jobs can share the images.

What an image is, is found by :func:`index_part`; what depends on all of them, by :func:`join_rows`.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pandas as pd

from ..errors import SmoosegError, raise_problems
from ..running.files import require_text
from ..running.progress import progress
from .datasets.base import Dataset
from .decoding import FEWEST, Picture
from .imaging import decode, raster_sha256, read_bytes
from .manifests import UNSETTLED, manifest_parts, part_of, write_manifest
from .rasters import Raster
from .views import LEAST, crop_boxes, window_boxes

LOG = logging.getLogger(__name__)
MIRRORS = {True: (False, True), False: (False,)}  # an evaluation view is followed by its mirror image
AT_ONCE = 1000  # images of which more is held than their rows
NAMED = 3  # images, in what is logged of many


@dataclass(frozen=True)
class Indexed:
    """What indexing learns of an image: sha256 of its file, its size (pixels), the boxes of its views, and more.

    Args:
        void: For each box, whether most of it is void.
        bits, stated, pages: See :class:`smooseg.images.decoding.Picture`.
        raster: Of a raster how it is seen, as JSON (see :class:`smooseg.images.rasters.Raster`).
    """

    image: str
    sha256: str
    width: int
    height: int
    boxes: list[tuple[int, int, int, int]]
    void: list[bool]
    bits: int
    stated: bool
    pages: int
    raster: str = ""


def index_image(dataset: Dataset, image: str, crops: str, size: int) -> Indexed | SmoosegError:
    """What one image is, or the problem it has (so that a batch can name all); ``size`` is a view's, in pixels."""
    path = dataset.root / image
    try:
        if Path(image).is_absolute() or ".." in Path(image).parts:  # links of the file system are the user's own
            raise SmoosegError(f"{path}: lies outside the data set's folder")
        require_text(path)
        if dataset.is_raster(path):
            return index_raster(path, image, size, **dataset.settings)
        data, digest = read_bytes(path)
        picture = decode(path, data)
        width, height = picture.rgb.size
        if min(width, height) < LEAST[crops]:
            raise SmoosegError(f"{path}: is {width}x{height} pixels, too small for {crops} crops")
        boxes = crop_boxes(width, height, crops)
        void = [is_mostly_void(picture, box) for box in boxes]
        return Indexed(image, digest, width, height, boxes, void, picture.bits, picture.stated, picture.pages)
    except SmoosegError as error:
        return error


def index_raster(path: Path, image: str, size: int, scale: float, bands: list[int] | None) -> Indexed:
    """What a raster is: its views are windows.

    Raises:
        SmoosegError: If it cannot be read, or has no such bands.
    """
    raster = Raster(path, bands)
    boxes = window_boxes(raster.width, raster.height, round(size / scale))
    void, seen = [raster.is_mostly_void(*box) for box in boxes], json.dumps(raster.seen)
    return Indexed(image, raster_sha256(path), raster.width, raster.height, boxes, void, FEWEST, True, 1, seen)


def is_mostly_void(picture: Picture, box: tuple[int, int, int, int]) -> bool:
    """Whether more than half of a box is void."""
    left, top, right, bottom = box
    return picture.void is not None and bool(picture.void[top:bottom, left:right].mean() > 0.5)


def index_views(dataset: Dataset, split: str, crops: str, size: int, evaluation: bool, workers: int) -> pd.DataFrame:
    """Manifest of a split: one row per view.

    Args:
        dataset, split, crops, size, evaluation, workers: As for :func:`index_part`.

    Returns:
        Columns image (path relative to the root), width, height (of the image), left, top, right, bottom
        (the box, pixels), size, mirror, sha256 (of the image file), bits (of its values: those that the file states,
        else what the largest value of all such images needs); where there are rasters, how each is seen, as JSON.
        Training views that are mostly void are left out.

    Raises:
        SmoosegError: As :func:`index_part`, and if every view is void.
    """
    rows = list(index_part(dataset, split, crops, size, evaluation, workers))
    return pd.concat(join_rows(lambda: rows, f"{dataset.root}: every view of {split}"), ignore_index=True)


def index_part(
    dataset: Dataset, split: str, crops: str, size: int, evaluation: bool, workers: int, part: int = 1, parts: int = 1
) -> Iterator[pd.DataFrame]:
    """Rows for a part of a split's images, some at a time, so that memory does not grow with their number.

    Args:
        dataset: The data set.
        split: Its split.
        crops: See :func:`smooseg.images.views.crop_boxes`.
        size: Nominal side of a view in pixels, before rounding to the patch size.
        evaluation: Evaluation views are each followed by their mirror image.
        workers: Decoding threads.
        part, parts: Number of this job, from 1, and how many there are.

    Yields:
        Columns of :data:`smooseg.images.manifests.UNSETTLED`.

    Raises:
        SmoosegError: Naming every image that is missing, does not decode, is too small or lies outside the root.
    """
    entries = part_of(dataset.entries(split), part, parts)
    several, problems, void, views = list[str](), list[str](), 0, 0
    with (
        ThreadPoolExecutor(workers) as pool,
        progress(total=len(entries), unit="image", desc=f"index {split}") as bar,
    ):
        for start in range(0, max(len(entries), 1), AT_ONCE):  # a part without images is a list too
            some = entries[start : start + AT_ONCE]
            outcomes = []
            for outcome in pool.map(lambda entry: index_image(dataset, entry.image, crops, size), some):
                outcomes.append(outcome)
                bar.update()
            problems += [str(outcome) for outcome in outcomes if isinstance(outcome, SmoosegError)]
            found = [outcome for outcome in outcomes if isinstance(outcome, Indexed)]
            several += [one.image for one in found if one.pages > 1]
            void, views = void + sum(sum(one.void) for one in found), views + sum(len(one.void) for one in found)
            yield pd.DataFrame(view_rows(found, size, evaluation), columns=UNSETTLED.names)
    raise_problems("These images cannot be used", problems)
    if several:
        LOG.info("%s have several pages or frames: the first is taken", name_images(several))
    if void and not evaluation:
        LOG.info("%d of %d views are mostly void and left out", void, views)


def view_rows(found: list[Indexed], size: int, evaluation: bool) -> list[tuple]:
    """Rows of :data:`smooseg.images.manifests.UNSETTLED` for some images."""
    rows = []
    for one in found:
        for box, void in zip(one.boxes, one.void, strict=True):
            view, rest = (one.image, one.width, one.height, *box, size), (one.sha256, one.bits, one.raster)
            left_out = void and not evaluation
            rows += [(*view, mirror, *rest, one.stated, left_out) for mirror in MIRRORS[evaluation]]
    return rows


def join_parts(parts: list[Path], views: str, manifest: Path) -> None:
    """Write the manifest of a split from files of all its parts, in order.

    Memory does not grow with their views, but by the names of images of more than 8 bits, which are logged.

    Args:
        parts: Files of what :func:`index_part` yields.
        views: What they are called where all are void.
        manifest: File to write.

    Raises:
        SmoosegError: If every view is void.
    """
    write_manifest(manifest, join_rows(lambda: chain.from_iterable(map(manifest_parts, parts)), views))


def join_rows(rows: Callable[[], Iterable[pd.DataFrame]], views: str) -> Iterator[pd.DataFrame]:
    """Rows of a manifest from those of all its parts, which are gone through twice.

    Images whose files do not state their bits get as many as the largest value of all of them needs.

    Raises:
        SmoosegError: If there are none.
    """
    common, rasters = FEWEST, False
    for part in rows():
        common = max([common, *part.loc[~part["stated"], "bits"].unique()])
        rasters = rasters or bool((part["raster"] != "").any())
    deep, number = dict[str, int](), 0
    for part in rows():
        part.loc[~part["stated"], "bits"] = common
        more = part[(part["bits"] > FEWEST) | ~part["stated"]]
        deep.update(zip(more["image"], more["bits"], strict=True))
        kept = part[~part["void"]]
        number += len(kept)
        if len(kept):
            yield kept.drop(columns=["stated", "void"] if rasters else ["stated", "void", "raster"])
    if not number:
        raise SmoosegError(f"{views} is void: transparent, or of the nodata value")
    for bits in sorted(set(deep.values())):
        images = [image for image, used in deep.items() if used == bits]
        LOG.info("%s hold more than 8 bits: %d are used, of which the upper 8 are kept", name_images(images), bits)


def name_images(images: list[str]) -> str:
    """How many images, and the first of them."""
    return f"{len(images)} images ({', '.join(images[:NAMED])}{', …' if len(images) > NAMED else ''})"
