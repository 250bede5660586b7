"""People's own pictures as a data set of the folder layout: checked, then linked below the workflow's data root.

The workflow takes pixels as they lie, so a picture that is to be turned by its EXIF tag is written there upright.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import SmoosegError, list_some, raise_problems
from ..images.datasets import VOID, Dataset, Folder
from ..images.datasets.labelfiles import label_files
from ..images.datasets.raster import require_same_place
from ..images.decoding import Picture
from ..images.finding import SUFFIXES
from ..images.gdal import require_rasterio
from ..images.imaging import require_size
from ..images.labels import doubts, found_ids
from ..images.rasters import Raster
from ..images.views import LEAST
from ..running.files import require_text, write_whole
from ..running.progress import progress
from .photos import Photo, decode_photo, is_upright

LOG = logging.getLogger(__name__)
Make = Callable[[Path, Path], None]
TRAIN, SCORED = "train", "scored"  # splits: every picture; those that have a label
CROPS, SIZE = "five", 224  # of training views, before rounding to the patch (pixels)
WINDOWS = 500  # of rasters, about, where nobody chose their scale: one CPU core sees them in a few minutes


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
        LOG.warning("%s: %d labels fit no picture: %s", folder, len(unused), list_some(unused))
    return found


def raster_settings(photos: list[Photo], scale: float | None, bands: tuple[int, ...] | None) -> dict:
    """How rasters among photos are seen: scale and bands, as a data set's entry has them; empty without rasters.

    Args:
        photos: All that are fitted on.
        scale: Pixels of a view for one of a raster; None takes every pixel, or as few as make about :data:`WINDOWS`
            training views of all rasters.
        bands: One or three, see :class:`smooseg.images.rasters.Raster`.

    Raises:
        SmoosegError: If something is chosen that concerns rasters, and there is none.
    """
    if bands:
        require_rasterio("--bands")
    sizes = [photo.size for photo in photos if photo.raster]
    if not sizes:
        if scale or bands:
            raise SmoosegError(f"{'--scale' if scale else '--bands'} is for rasters, and none was given")
        return {}
    pixels = sum(width * height for width, height in sizes)
    chosen = scale or min(1.0, SIZE * (WINDOWS / pixels) ** 0.5)
    return {"scale": float(f"{chosen:.3g}"), "bands": list(bands) if bands else None}


def label_classes(folder: Path, labels: list[Path], void: int) -> list[str]:
    """Names of the ids of labels: as many as the largest one that is found asks for.

    Raises:
        SmoosegError: If there is one id alone.
    """
    found = found_ids(labels, Folder(folder, void=void))
    if found == {0}:
        raise SmoosegError(
            f"{folder}: labels hold only 0 and the void value {void}, so there is one class; if {void} is a "
            f"class, give it another id"
        )
    return [f"class {i}" for i in range(max(found, default=1) + 1)]


def check_pictures(
    photos: list[Photo], labels: dict[Photo, Path], dataset: Dataset, workers: int, skip_bad: bool = False
) -> list[Photo]:
    """Decode everything once, before anything is computed, and return the photos that can be used.

    Warnings say what is strange about the labels.

    Args:
        photos, labels, dataset: As for :func:`link_pictures`.
        workers: Decoding threads.
        skip_bad: Whether those that cannot be used are left out, with a warning each.

    Raises:
        SmoosegError: Naming every picture and label that cannot be used; with ``skip_bad`` only if nothing is left.
    """

    def check(photo: Photo) -> np.ndarray | SmoosegError:
        try:
            return check_picture(photo, labels.get(photo), dataset)
        except SmoosegError as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        found = list(progress(pool.map(check, photos), total=len(photos), unit="image", desc="check"))
    checked = dict(zip(photos, found, strict=True))
    bad = {photo: str(one) for photo, one in checked.items() if isinstance(one, SmoosegError)}
    good = {photo: one for photo, one in checked.items() if not isinstance(one, SmoosegError)}
    if not skip_bad or not good or (labels and not labels.keys() - bad):
        raise_problems("These pictures or labels cannot be used", list(bad.values()))
    for text in bad.values():
        LOG.warning("left out: %s", text)
    for doubt in doubts(sum(good.values()), dataset.classes) if labels else ():
        LOG.warning("%s", doubt)
    return list(good)


def check_picture(photo: Photo, label: Path | None, dataset: Dataset) -> np.ndarray:
    """Pixels of each class id in a picture's label, int64 (256,), none without one.

    Raises:
        SmoosegError: If either does not decode, is too small, or holds something else than ids.
    """
    require_text(photo.path)
    width, height = check_size(photo)
    ids = dataset.read_label(label) if label else np.empty((0, 0), np.uint8)
    if label:
        require_size(ids, label, width, height)
        require_same_place(label, photo.path)
    return np.bincount(ids.ravel(), minlength=VOID + 1)


def check_size(photo: Photo) -> tuple[int, int]:
    """Width and height (pixels) of a picture that decodes, or of a raster that can be read.

    Raises:
        SmoosegError: If it does not, or is too small.
    """
    if photo.raster:
        raster = Raster(photo.path, photo.bands)
        return raster.width, raster.height
    width, height = decode_photo(photo.path).rgb.size
    if min(width, height) < LEAST[CROPS]:
        raise SmoosegError(f"{photo.path}: is {width}x{height} pixels, too small for {CROPS} crops")
    return width, height


def link_pictures(photos: list[Photo], labels: dict[Photo, Path], root: Path) -> None:
    """Make a folder hold these pictures and labels and no other file; what is there already stays untouched.

    A list beside the folder names the files that were put there. No other file is replaced or deleted.

    Args:
        photos: All of them are training images.
        labels: Of the photos that are scored.
        root: The data set's folder.

    Raises:
        SmoosegError: If the folder holds a file of somebody else's.
    """
    wanted: dict[Path, tuple[Path, Make]] = {}  # what comes from where, and how
    for photo in photos:
        make = how_to_link(photo)
        name = f"{photo.name}{'.png' if make is write_upright else photo.path.suffix}"
        wanted[root / "images" / TRAIN / name] = photo.path, make
        if photo in labels:
            again = (photo.path, make) if make is symbolic_link else (root / "images" / TRAIN / name, hard_link)
            wanted[root / "images" / SCORED / name] = again
            wanted[root / "labels" / SCORED / f"{photo.name}{labels[photo].suffix}"] = labels[photo], hard_link
    listed = root.with_name(f".{root.name}.json")
    before = set(json.loads(listed.read_text("utf-8"))) if listed.is_file() else set()
    there = {path: str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    require_linked([path for path, name in there.items() if name not in before], wanted)
    names = {str(path.relative_to(root)) for path in wanted}
    write_list(listed, before | names)
    for path in there.keys() - wanted.keys():
        if there[path] in before:
            path.unlink()
    for target, (source, make) in wanted.items():
        link(source, target, make)
    write_list(listed, names)


def require_linked(unlisted: list[Path], wanted: dict[Path, tuple[Path, Make]]) -> None:
    """Raise unless files that no list names are hidden, or what would be linked there."""
    for path in unlisted:
        same = path in wanted and is_current(wanted[path][0], path, wanted[path][1])
        if not same and not path.name.startswith("."):
            raise SmoosegError(f"{path}: smooseg did not put this file there; move it, or give another folder for out")


def write_list(path: Path, names: set[str]) -> None:
    """Write names of files, if they are not there already."""
    text = json.dumps(sorted(names), indent=0)
    if not path.is_file() or path.read_text("utf-8") != text:
        with write_whole(path) as aside:
            aside.write_text(text, "utf-8")


def how_to_link(photo: Photo) -> Make:
    """How a photo becomes an image of the data set; a raster's neighbours, and what a VRT names, stay where it is."""
    if photo.raster:
        return symbolic_link
    return hard_link if photo.path.suffix.lower() in SUFFIXES and is_upright(photo.path) else write_upright


def link(source: Path, target: Path, make: Make) -> None:
    """Make a file from another, if it is not there already."""
    if not is_current(source, target, make):
        with write_whole(target) as aside:
            make(source, aside)


def is_current(source: Path, target: Path, make: Make) -> bool:
    """Whether a file was made from another as it is now: its time says from which state, and a link where it is."""
    same_place = make is not symbolic_link or target.resolve() == source.resolve()
    return target.exists() and same_place and target.stat().st_mtime_ns == source.stat().st_mtime_ns


def write_upright(source: Path, target: Path) -> None:
    """An upright PNG of a picture, of its time."""
    state = source.stat()
    as_png(decode_photo(source)).save(target, "PNG", compress_level=1)
    os.utime(target, ns=(state.st_atime_ns, state.st_mtime_ns))


def symbolic_link(source: Path, target: Path) -> None:
    """A link to a file where it lies."""
    target.symlink_to(source.resolve())


def as_png(picture: Picture) -> Image.Image:
    """A picture as it can be written, its void transparent."""
    if picture.void is not None:
        picture.rgb.putalpha(Image.fromarray(np.where(picture.void, 0, 255).astype(np.uint8)))
    return picture.rgb


def hard_link(source: Path, target: Path) -> None:
    """A hard link, which outlives what was given, or a copy where none can be."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)
