"""People's own pictures as a data set of the folder layout: checked, then linked below the workflow's data root.

The workflow takes pixels as they lie, so a picture that is to be turned by its EXIF tag is written there upright.
"""

import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import SmoosegError, listed, raise_listed
from ..images.datasets import VOID, Dataset, Folder
from ..images.datasets.labelfiles import label_files
from ..images.decoding import Picture
from ..images.imaging import require_size
from ..images.labels import doubts, found_ids
from ..images.pictures import SUFFIXES
from ..images.views import LEAST
from ..running.files import require_text, whole
from ..running.progress import progress
from .photos import Photo, decode_photo, is_upright

TRAIN, SCORED = "train", "scored"  # splits: every picture; those that have a label
CROPS = "five"  # of a training view


def find_labels(folder: Path, photos: list[Photo]) -> dict[Photo, Path]:
    """Label files of the photos' names below a folder; a warning names those of no photo's.

    Raises:
        SmoosegError: If there is none, or a photo has two.
    """
    files = label_files(folder)
    found = {photo: files[photo.name] for photo in photos if photo.name in files}
    if not found:
        photo = photos[0]
        raise SmoosegError(f"{folder}: holds no label; that of {photo.path} would be {photo.name}.png (.tif, .bmp)")
    unused = [path.name for path in files.values() if path not in set(found.values())]
    if unused:
        logging.warning("%s: %d labels fit no picture: %s", folder, len(unused), listed(unused))
    return found


def label_classes(folder: Path, labels: list[Path], void: int) -> list[str]:
    """Names of the ids of labels: as many as the largest one that is found asks for.

    Raises:
        SmoosegError: If there is one id alone.
    """
    found = found_ids(labels, Folder(folder, void=void))
    if found == {0}:
        raise SmoosegError(
            f"{folder}: labels hold 0 and the void value {void} alone, so there is one class; a class that is saved "
            f"as {void} must get another id"
        )
    return [f"class {i}" for i in range(max(found, default=1) + 1)]


def check_pictures(
    photos: list[Photo], labels: dict[Photo, Path], dataset: Dataset, workers: int, skip_bad: bool = False
) -> list[Photo]:
    """Decode everything once, before anything is computed, and return the photos that can be used.

    Warnings say what is strange about the labels.

    Args:
        photos, labels, dataset: As for :func:`place_pictures`.
        workers: Decoding threads.
        skip_bad: Whether those that cannot be used are left out, with a warning each.

    Raises:
        SmoosegError: Naming every picture and label that cannot be used; with ``skip_bad`` only if nothing is left.
    """

    def check(photo: Photo) -> np.ndarray | SmoosegError:
        try:
            return check_picture(photo.path, labels.get(photo), dataset)
        except SmoosegError as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        found = list(progress(pool.map(check, photos), total=len(photos), unit="image", desc="check"))
    checked = dict(zip(photos, found, strict=True))
    bad = {photo: str(one) for photo, one in checked.items() if isinstance(one, SmoosegError)}
    good = {photo: one for photo, one in checked.items() if not isinstance(one, SmoosegError)}
    if not skip_bad or not good or (labels and not labels.keys() - bad):
        raise_listed("These pictures or labels cannot be used", list(bad.values()))
    for text in bad.values():
        logging.warning("left out: %s", text)
    for doubt in doubts(sum(good.values()), dataset.classes) if labels else ():
        logging.warning("%s", doubt)
    return list(good)


def check_picture(path: Path, label: Path | None, dataset: Dataset) -> np.ndarray:
    """Pixels of each class id in a picture's label, int64 (256,), none without one.

    Raises:
        SmoosegError: If either does not decode, is too small, or holds something else than ids.
    """
    require_text(path)
    width, height = decode_photo(path).rgb.size
    if min(width, height) < LEAST[CROPS]:
        raise SmoosegError(f"{path}: is {width}x{height} pixels, too small for {CROPS} crops")
    ids = dataset.read_label(label) if label else np.empty((0, 0), np.uint8)
    if label:
        require_size(ids, label, width, height)
    return np.bincount(ids.ravel(), minlength=VOID + 1)


def place_pictures(photos: list[Photo], labels: dict[Photo, Path], root: Path) -> None:
    """Make a folder hold these pictures and labels and no other file; what is there already stays untouched.

    Args:
        photos: All of them are training images.
        labels: Of the photos that are scored.
        root: The data set's folder.
    """
    wanted: dict[Path, tuple[Path, bool]] = {}  # what comes from where, and whether as it lies
    for photo in photos:
        as_it_lies = photo.path.suffix.lower() in SUFFIXES and is_upright(photo.path)
        name = f"{photo.name}{photo.path.suffix if as_it_lies else '.png'}"
        wanted[root / "images" / TRAIN / name] = photo.path, as_it_lies
        if photo in labels:
            wanted[root / "images" / SCORED / name] = root / "images" / TRAIN / name, True
            wanted[root / "labels" / SCORED / f"{photo.name}{labels[photo].suffix}"] = labels[photo], True
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
            as_png(decode_photo(source)).save(aside, "PNG", compress_level=1)
            os.utime(aside, ns=(state.st_atime_ns, state.st_mtime_ns))


def as_png(picture: Picture) -> Image.Image:
    """A picture as it can be written, its void transparent."""
    if picture.void is not None:
        picture.rgb.putalpha(Image.fromarray(np.where(picture.void, 0, 255).astype(np.uint8)))
    return picture.rgb


def link(source: Path, target: Path) -> None:
    """A hard link, which outlives what was given, or a copy where none can be."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)
