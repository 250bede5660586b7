"""Views: square crop boxes of images at one size, listed in a manifest.

A view is never written back as an image. Its box holds pixels of the source image; resizing the
box to the view's size equals resizing the shorter side first and cropping the centre after.
"""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import SmoosegError, raise_listed
from ..running.files import require_text
from ..running.progress import progress
from .datasets.base import Dataset
from .decoding import FEWEST, Picture
from .imaging import decode, raster_sha256, read_bytes
from .rasters import Raster

COLUMNS = ["image", "width", "height", "left", "top", "right", "bottom", "size", "mirror", "sha256", "bits", "raster"]
MIRRORS = {True: (False, True), False: (False,)}  # an evaluation view is followed by its mirror image
AT_ONCE = 1000  # images of which more is held than their rows
NAMED = 3  # images, in what is logged of many
LEAST = {"whole": 1, "five": 2}  # shorter side (pixels) of an image that can be cropped so


def centre_square(left: int, top: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Largest centred square of a box, as (left, top, right, bottom) in pixels."""
    side = min(width, height)
    x, y = left + (width - side) // 2, top + (height - side) // 2
    return x, y, x + side, y + side


def crop_boxes(width: int, height: int, crops: str) -> list[tuple[int, int, int, int]]:
    """Boxes of an image's views.

    Args:
        width, height: The image's size in pixels.
        crops: "whole" (the centre square) or "five" (four corners and the centre, half the sides each).
    """
    if crops == "whole":
        return [centre_square(0, 0, width, height)]
    w, h = width // 2, height // 2
    corners = [(0, 0), (width - w, 0), (0, height - h), (width - w, height - h)]
    corners.append(((width - w) // 2, (height - h) // 2))
    return [centre_square(x, y, w, h) for x, y in corners]


def window_boxes(width: int, height: int, side: int) -> list[tuple[int, int, int, int]]:
    """Squares of a side that cover an image, evenly spread; they overlap where its sides are no multiples of it.

    Args:
        width, height: The image's size in pixels.
        side: In pixels; that of the image's shorter one where it is smaller.
    """
    side = min(side, width, height)
    across, down = (
        np.linspace(0, length - side, -(-length // side)).round().astype(int).tolist() for length in (width, height)
    )
    return [(x, y, x + side, y + side) for y in down for x in across]


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

    @property
    def remarkable(self) -> bool:
        """Whether there is more to say of it than its views."""
        return self.bits > FEWEST or not self.stated or self.pages > 1 or any(self.void)


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
        void = [mostly_void(picture, box) for box in boxes]
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
    void, seen = [raster.mostly_void(*box) for box in boxes], json.dumps(raster.seen)
    return Indexed(image, raster_sha256(path), raster.width, raster.height, boxes, void, FEWEST, True, 1, seen)


def mostly_void(picture: Picture, box: tuple[int, int, int, int]) -> bool:
    """Whether more than half of a box is void."""
    left, top, right, bottom = box
    return picture.void is not None and bool(picture.void[top:bottom, left:right].mean() > 0.5)


def index_views(dataset: Dataset, split: str, crops: str, size: int, evaluation: bool, workers: int) -> pd.DataFrame:
    """Manifest of a split: one row per view.

    Args:
        dataset: The data set.
        split: Its split.
        crops: See :func:`crop_boxes`.
        size: Nominal side of a view in pixels, before rounding to the patch size.
        evaluation: Evaluation views are each followed by their mirror image.
        workers: Decoding threads.

    Returns:
        Columns image (path relative to the root), width, height (of the image), left, top, right, bottom
        (the box, pixels), size, mirror, sha256 (of the image file), bits (of its values: those that the file states,
        else what the largest value of all such images needs); where there are rasters, how each is seen, as JSON.
        Training views that are mostly void are left out.

    Raises:
        SmoosegError: Naming every image that is missing, does not decode, is too small or lies outside the root.
    """
    entries = dataset.entries(split)
    parts, remarkable, problems = [], list[Indexed](), list[str]()
    with (
        ThreadPoolExecutor(workers) as pool,
        progress(total=len(entries), unit="image", desc=f"index {split}") as bar,
    ):
        for start in range(0, len(entries), AT_ONCE):
            some = entries[start : start + AT_ONCE]
            outcomes = []
            for outcome in pool.map(lambda entry: index_image(dataset, entry.image, crops, size), some):
                outcomes.append(outcome)
                bar.update()
            problems += [str(outcome) for outcome in outcomes if isinstance(outcome, SmoosegError)]
            found = [outcome for outcome in outcomes if isinstance(outcome, Indexed)]
            remarkable += [one for one in found if one.remarkable]
            if rows := view_rows(found, size, evaluation):
                parts.append(pd.DataFrame(rows, columns=[*COLUMNS, "stated"]))
    raise_listed("These images cannot be used", problems)
    log_findings(remarkable, sum(map(len, parts)), evaluation)
    if not parts:
        raise SmoosegError(f"{dataset.root}: every view of {split} is void: transparent, or of the nodata value")
    manifest = pd.concat(parts, ignore_index=True)
    manifest.loc[~manifest.pop("stated"), "bits"] = common_bits(remarkable)
    return manifest if manifest["raster"].any() else manifest.drop(columns="raster")


def view_rows(found: list[Indexed], size: int, evaluation: bool) -> list[tuple]:
    """Rows of a manifest for some images, whose bits are each image's own, and whether those are stated."""
    rows = []
    for one in found:
        for box, void in zip(one.boxes, one.void, strict=True):
            if evaluation or not void:
                view, rest = (one.image, one.width, one.height, *box, size), (one.sha256, one.bits, one.raster)
                rows += [(*view, mirror, *rest, one.stated) for mirror in MIRRORS[evaluation]]
    return rows


def common_bits(found: list[Indexed]) -> int:
    """Bits of images whose files do not state them: as many as the largest value of all needs."""
    return max((one.bits for one in found if not one.stated), default=FEWEST)


def log_findings(found: list[Indexed], kept: int, evaluation: bool) -> None:
    """Say how images were taken that are more, or less, than 8 bits of red, green and blue; ``kept`` views are used."""
    deep, common = [one for one in found if one.bits > FEWEST or not one.stated], common_bits(found)
    by_bits = groups(deep, lambda one: one.bits if one.stated else common)
    for bits, images in by_bits.items():
        logging.info("%s hold more than 8 bits: %d are used, of which the upper 8 are kept", named(images), bits)
    if several := [one for one in found if one.pages > 1]:
        logging.info("%s have several pages or frames: the first is taken", named(several))
    void = sum(sum(one.void) for one in found)
    if void and not evaluation:
        logging.info("%d of %d views are mostly void and left out", void, void + kept)


def groups(found: list[Indexed], key: Callable[[Indexed], int]) -> dict[int, list[Indexed]]:
    """Images by a number of theirs."""
    return {value: [one for one in found if key(one) == value] for value in sorted(set(map(key, found)))}


def named(found: list[Indexed]) -> str:
    """How many images, and the first of them."""
    return f"{len(found)} images ({', '.join(one.image for one in found[:NAMED])}{', …' if len(found) > NAMED else ''})"
