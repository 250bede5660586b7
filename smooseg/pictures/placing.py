"""People's own pictures as a data set of the folder layout: checked, then linked below the workflow's data root.

The workflow takes pixels as they lie, so a picture that is to be turned by its EXIF tag is written there upright.
"""

import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import SmoosegError, raise_listed
from ..images.datasets import Dataset
from ..images.datasets.base import IMAGE_SUFFIXES
from ..images.imaging import require_size
from ..images.views import LEAST
from ..running.files import require_text, whole
from ..running.progress import progress
from .photos import Photo, decode_photo, is_upright

TRAIN, SCORED = "train", "scored"  # splits: every picture; those that have a label
CROPS = "five"  # of a training view


def find_labels(folder: Path, photos: list[Photo]) -> dict[Photo, Path]:
    """Label PNGs of the photos' names below a folder.

    Raises:
        SmoosegError: If there is none.
    """
    paths = {photo: folder / f"{photo.name}.png" for photo in photos}
    found = {photo: path for photo, path in paths.items() if path.is_file()}
    if not found:
        photo = photos[0]
        raise SmoosegError(f"{folder}: holds no label; that of {photo.path} would be {photo.name}.png")
    return found


def check_pictures(
    photos: list[Photo], labels: dict[Photo, Path], dataset: Dataset, workers: int, skip_bad: bool = False
) -> list[Photo]:
    """Decode everything once, before anything is computed, and return the photos that can be used.

    Args:
        photos, labels, dataset: As for :func:`place_pictures`.
        workers: Decoding threads.
        skip_bad: Whether those that cannot be used are left out, with a warning each.

    Raises:
        SmoosegError: Naming every picture and label that cannot be used; with ``skip_bad`` only if nothing is left.
    """

    def problem(photo: Photo) -> str | None:
        try:
            check_picture(photo.path, labels.get(photo), dataset)
        except SmoosegError as error:
            return str(error)

    with ThreadPoolExecutor(workers) as pool:
        found = list(progress(pool.map(problem, photos), total=len(photos), unit="image", desc="check"))
    bad = {photo: text for photo, text in zip(photos, found, strict=True) if text}
    good = [photo for photo in photos if photo not in bad]
    if not skip_bad or not good or (labels and not labels.keys() - bad):
        raise_listed("These pictures or labels cannot be used", list(bad.values()))
    for text in bad.values():
        logging.warning("left out: %s", text)
    return good


def check_picture(path: Path, label: Path | None, dataset: Dataset) -> None:
    """Raise if a picture or its label does not decode, is too small, or holds something else than ids."""
    require_text(path)
    width, height = decode_photo(path).size
    if min(width, height) < LEAST[CROPS]:
        raise SmoosegError(f"{path}: is {width}x{height} pixels, too small for {CROPS} crops")
    if label:
        require_size(dataset.read_label(label), label, width, height)


def place_pictures(photos: list[Photo], labels: dict[Photo, Path], root: Path) -> None:
    """Make a folder hold these pictures and labels and no other file; what is there already stays untouched.

    Args:
        photos: All of them are training images.
        labels: Of the photos that are scored.
        root: The data set's folder.
    """
    wanted: dict[Path, tuple[Path, bool]] = {}  # what comes from where, and whether as it lies
    for photo in photos:
        as_it_lies = photo.path.suffix.lower() in IMAGE_SUFFIXES and is_upright(photo.path)
        name = f"{photo.name}{photo.path.suffix if as_it_lies else '.png'}"
        wanted[root / "images" / TRAIN / name] = photo.path, as_it_lies
        if photo in labels:
            wanted[root / "images" / SCORED / name] = root / "images" / TRAIN / name, True
            wanted[root / "labels" / SCORED / f"{photo.name}.png"] = labels[photo], True
    for file in [path for path in root.rglob("*") if path.is_file() and path not in wanted]:
        file.unlink()
    for target, (source, as_it_lies) in wanted.items():
        place(source, target, as_it_lies)


def place(source: Path, target: Path, as_it_lies: bool) -> None:
    """Make a file from another, as it lies or as an upright PNG; its time says from which state of it."""
    state = source.stat()
    if target.exists() and target.stat().st_mtime_ns == state.st_mtime_ns:
        return
    with whole(target) as aside:
        if as_it_lies:
            link(source, aside)
        else:
            decode_photo(source).save(aside, "PNG", compress_level=1)
            os.utime(aside, ns=(state.st_atime_ns, state.st_mtime_ns))


def link(source: Path, target: Path) -> None:
    """A hard link, which outlives what was given, or a copy where none can be."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)
