"""Views: square crop boxes of images at one size, listed in a manifest.

A view is never written back as an image. Its box holds pixels of the source image; resizing the
box to the view's size equals resizing the shorter side first and cropping the centre after.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from ..errors import SmoosegError, raise_listed
from ..running.files import require_text
from ..running.progress import progress
from .datasets.base import Dataset
from .imaging import decode, read_bytes

COLUMNS = ["image", "width", "height", "left", "top", "right", "bottom", "size", "mirror", "sha256"]
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


def index_image(root: Path, image: str, crops: str) -> tuple[int, int, str] | SmoosegError:
    """Width, height and sha256 of one image, or the problem it has (so that a batch can name all)."""
    path = root / image
    try:
        if Path(image).is_absolute() or ".." in Path(image).parts:  # links of the file system are the user's own
            raise SmoosegError(f"{path}: lies outside the data set's folder")
        require_text(path)
        data, digest = read_bytes(path)
        width, height = decode(path, data).size
        if min(width, height) < LEAST[crops]:
            raise SmoosegError(f"{path}: is {width}x{height} pixels, too small for {crops} crops")
        return width, height, digest
    except SmoosegError as error:
        return error


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
        (the box, pixels), size, mirror, sha256 (of the image file).

    Raises:
        SmoosegError: Naming every image that is missing, does not decode, is too small or lies outside the root.
    """
    entries = dataset.entries(split)
    with ThreadPoolExecutor(workers) as pool:
        found = pool.map(lambda entry: index_image(dataset.root, entry.image, crops), entries)
        found = list(progress(found, total=len(entries), unit="image", desc=f"index {split}"))
    raise_listed("These images cannot be used", [str(f) for f in found if isinstance(f, SmoosegError)])
    rows = []
    for entry, (width, height, sha256) in zip(entries, found, strict=True):
        for box in crop_boxes(width, height, crops):
            for mirror in (False, True) if evaluation else (False,):
                rows.append((entry.image, width, height, *box, size, mirror, sha256))
    return pd.DataFrame(rows, columns=COLUMNS)
