"""People's own pictures: found by path, folder or glob; decoded upright; resized to a view."""

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import SmoosegError
from ..images.decoding import Picture, open_image, read_picture
from ..images.finding import find_pictures
from ..images.gdal import DRIVERS, INSTALL, is_raster, open_raster
from ..images.imaging import RESAMPLING
from ..running.files import require_text
from .output.masks import is_output

LOG = logging.getLogger(__name__)
ORIENTATION = 0x0112  # EXIF tag
TURNS = {  # what makes a picture upright, by the values of it that ask for something
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = {5, 6, 7, 8}  # those that swap width and height
SPARE = 2  # pixels of an image that are kept for one of its view before resampling; more are averaged first


@dataclass(frozen=True)
class Photo:
    """An image file and what its outputs are called: a path relative to their folder, without suffix.

    Args:
        path: Its file.
        name: Of its outputs.
        bands: That are to be seen of a raster; None takes the usual ones.
        memory: Whether its file is for the moment, since it was given as an array.
    """

    path: Path
    name: Path
    bands: tuple[int, ...] | None = None
    memory: bool = False

    @property
    def shown(self) -> Path:
        """What tables call it."""
        return Path(self.path.name) if self.memory else self.path

    @cached_property
    def raster(self) -> bool:
        """Whether it is read through GDAL, and its mask is a GeoTIFF."""
        return is_raster(self.path, bool(self.bands))

    @property
    def mask(self) -> Path:
        """Path of its mask, relative to the outputs' folder."""
        return Path(f"{self.name}{'.tif' if self.raster else '.png'}")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as it is to be seen (pixels)."""
        if not self.raster:
            return upright_size(self.path)
        with open_raster(self.path) as data:
            return data.width, data.height

    @cached_property
    def state(self) -> list[int]:
        """Size and time of the file when it was first asked for, by which a change is seen."""
        require_text(self.path)
        try:
            status = self.path.stat()
        except OSError as error:
            raise SmoosegError(f"{self.path}: cannot be read ({error.strerror})") from error
        return [status.st_size, status.st_mtime_ns]


def find_photos(images: Sequence[str | Path], without: Path | None = None) -> tuple[list[Photo], list[str]]:
    """Image files that arguments mean, each once, and what is wrong with the others.

    Args:
        images: Files, folders (searched as :func:`smooseg.images.finding.find_pictures` does) or globs. What a folder
            or glob means but is no picture is left out with a warning; masks and overlays are, silently.

        without: Folder whose files are none of them.

    Returns:
        The photos in order, and a "path: problem" for every argument that means none, and for every photo whose
        outputs would have the name of another's.
    """
    given, photos, problems, seen, names = [], [], [], set(), dict[Path, Path]()
    for argument in map(str, images):
        found, problem = expand(argument, without)
        problems += [problem] if problem else []
        for photo in found:
            path = photo.path.resolve()
            if path in seen or is_output(path):
                continue
            seen.add(path)
            given.append(photo)
    for photo in tell_apart(given):
        first = names.setdefault(photo.name, photo.path)
        if first is photo.path:
            photos.append(photo)
        else:
            problems.append(f"{photo.path}: its mask would have the name of {first}'s; give it another --out")
    return photos, problems


def tell_apart(photos: list[Photo]) -> list[Photo]:
    """The photos, named from the folder that holds all that was given if arguments have photos of one name."""
    if len({photo.name for photo in photos}) == len(photos):
        return photos
    paths = [Path(os.path.abspath(photo.path)) for photo in photos]
    common = os.path.commonpath(path.parents[len(p.name.parts) - 1] for path, p in zip(paths, photos, strict=True))
    return [
        Photo(photo.path, path.relative_to(common).with_suffix("")) for path, photo in zip(paths, photos, strict=True)
    ]


def expand(argument: str, without: Path | None) -> tuple[list[Photo], str | None]:
    """Photos that one argument means, or the problem with it."""
    path = Path(argument)
    if path.is_dir():
        root, found, nothing = path, find_pictures(path, without=without), "holds no image"
    elif path.exists():
        return [Photo(path, Path(path.stem))], None
    elif glob.has_magic(argument):
        root, nothing = fixed_part(path), "matches no image"
        files = [match for match in map(Path, glob.glob(argument, recursive=True)) if not match.is_dir()]
        found = find_pictures(root, files, without)
    else:
        return [], f"{path}: is missing"
    if not found.pictures:
        return [], f"{path}: {nothing}; {found.summary()}".removesuffix("; ")
    if found.left_out:
        LOG.warning("%s: %s", path, found.summary())
    return [Photo(p, p.relative_to(root).with_suffix("")) for p in found.pictures], None


def fixed_part(pattern: Path) -> Path:
    """The folders of a glob before its first wildcard."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


@contextmanager
def open_photo(path: Path) -> Iterator[Image.Image]:
    """An image file whose pixels are not decoded yet.

    Raises:
        SmoosegError: If it cannot be read, or what is done with it fails: damage surfaces as whatever its bytes lead
            the decoder to.
    """
    try:
        with open_image(path) as image:
            yield image
    except Exception as error:
        reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
        lacking = path.suffix.lower() in DRIVERS and not find_spec("rasterio")
        advice = f"; if it is a raster, it needs rasterio: {INSTALL}" if lacking else ""
        raise SmoosegError(f"{path}: image does not decode ({reason}){advice}") from error


def orientation(image: Image.Image) -> int | None:
    """The EXIF orientation, or None where there is none that can be read; Pillow turns a TIFF by itself."""
    try:
        return None if image.format == "TIFF" else image.getexif().get(ORIENTATION)
    except Exception:  # as above; such an image is taken as it lies
        return None


def is_upright(path: Path) -> bool:
    """Whether an image is to be seen as its pixels lie."""
    with open_photo(path) as image:
        return orientation(image) not in TURNS


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as it is to be seen."""
    with open_photo(path) as image:
        return image.size[::-1] if orientation(image) in SIDEWAYS else image.size


def decode_photo(path: Path, bits: int | None = None, least: int | None = None) -> Picture:
    """An upright picture.

    Args:
        path: Its file.
        bits, least: See :func:`smooseg.images.decoding.read_picture`.

    Raises:
        SmoosegError: If it cannot be read or does not decode whole.
    """
    with open_photo(path) as image:
        return read_picture(path, bits, least).turn(TURNS.get(orientation(image) or 1))


class PhotoView:
    """An image at a view's size, whole or in parts.

    A photograph has far more pixels than its view; sampling those as the data sets' images are would give noise.
    So an image of at least twice :data:`SPARE` times the view's sides is averaged down first, by a whole factor.

    Args:
        image: RGB, upright.
        shape: Height and width of the view (pixels).
        resample: Key of :data:`smooseg.images.imaging.RESAMPLING`.
    """

    def __init__(self, image: Image.Image, shape: tuple[int, int], resample: str):
        factor = min(image.height // (SPARE * shape[0]), image.width // (SPARE * shape[1]))
        self.image, self.shape, self.resample = image.reduce(factor) if factor > 1 else image, shape, resample

    @classmethod
    def of_file(cls, path: Path, shape: tuple[int, int], resample: str, bits: int | None) -> "PhotoView":
        """The view of an image file.

        Args:
            path: The file.
            shape, resample: Of the view.
            bits: See :func:`smooseg.images.decoding.read_picture`.

        Raises:
            SmoosegError: If it cannot be read or does not decode whole.
        """
        return cls(decode_photo(path, bits, SPARE * max(shape)).rgb, shape, resample)

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Pixels of some rows and columns of the view, uint8 (height, width, 3)."""
        down, right = self.image.height / self.shape[0], self.image.width / self.shape[1]
        box = (columns.start * right, rows.start * down, columns.stop * right, rows.stop * down)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        return np.asarray(self.image.resize(size, RESAMPLING[self.resample], box))
