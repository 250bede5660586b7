"""People's own pictures: found by path, folder or glob; decoded upright; resized to a view."""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import SmoosegError
from ..images.datasets.base import IMAGE_SUFFIXES
from ..images.imaging import RESAMPLING, to_rgb
from ..images.sizes import require_room
from ..running.files import require_text
from .masks import is_output

ORIENTATION = 0x0112  # EXIF tag
SIDEWAYS, AS_IT_LIES = {5, 6, 7, 8}, {0, 1}  # its values that swap width and height, and that change nothing
SPARE = 2  # pixels of an image that are kept for one of its view before resampling; more are averaged first


@dataclass(frozen=True)
class Photo:
    """An image file and what its outputs are called: a path relative to their folder, without suffix."""

    path: Path
    name: Path

    @cached_property
    def state(self) -> list[int]:
        """Size and time of the file when it was first asked for, by which a change is seen."""
        require_text(self.path)
        try:
            status = self.path.stat()
        except OSError as error:
            raise SmoosegError(f"{self.path}: cannot be read ({error.strerror})") from error
        return [status.st_size, status.st_mtime_ns]


def find_photos(images: list[str | Path]) -> tuple[list[Photo], list[str]]:
    """Image files that arguments mean, each once, and what is wrong with the others.

    Args:
        images: Files, folders (searched recursively for :data:`smooseg.images.datasets.base.IMAGE_SUFFIXES`) or globs.
            Masks and overlays that lie among them are left out.

    Returns:
        The photos in order, and a "path: problem" for every argument that means none, and for every photo whose
        outputs would have the name of another's.
    """
    given, photos, problems, seen, names = [], [], [], set(), {}
    for argument in map(str, images):
        found, problem = expand(argument)
        problems += [problem] if problem else []
        for photo in found:
            path = photo.path.resolve()
            if path in seen or is_output(path):
                continue
            seen.add(path)
            given.append(photo)
    for photo in told_apart(given):
        first = names.setdefault(photo.name, photo.path)
        if first is photo.path:
            photos.append(photo)
        else:
            problems.append(f"{photo.path}: its mask would have the name of {first}'s; give it another --out")
    return photos, problems


def told_apart(photos: list[Photo]) -> list[Photo]:
    """The photos, named from the folder that holds all that was given if arguments have photos of one name."""
    if len({photo.name for photo in photos}) == len(photos):
        return photos
    paths = [Path(os.path.abspath(photo.path)) for photo in photos]
    common = os.path.commonpath(path.parents[len(p.name.parts) - 1] for path, p in zip(paths, photos, strict=True))
    return [
        Photo(photo.path, path.relative_to(common).with_suffix("")) for path, photo in zip(paths, photos, strict=True)
    ]


def expand(argument: str) -> tuple[list[Photo], str | None]:
    """Photos that one argument means, or the problem with it."""
    path = Path(argument)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if is_image(p.relative_to(path)) and p.is_file())
        problem = f"{path}: holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})"
        return [Photo(p, p.relative_to(path).with_suffix("")) for p in found], None if found else problem
    if path.exists():
        return [Photo(path, Path(path.stem))], None
    if not glob.has_magic(argument):
        return [], f"{path}: is missing"
    root = fixed_part(path)
    files = sorted(p for p in map(Path, glob.glob(argument, recursive=True)) if p.is_file())
    found = [Photo(p, p.relative_to(root).with_suffix("")) for p in files if is_image(Path(p.name))]
    return found, None if found else f"{path}: matches no image"


def is_image(path: Path) -> bool:
    """Whether a relative path looks like an image; hidden files and folders (as macOS leaves them) do not."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not any(part.startswith(".") for part in path.parts)


def fixed_part(pattern: Path) -> Path:
    """The folders of a glob before its first wildcard."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file whose pixels are not decoded yet.

    Raises:
        SmoosegError: If it cannot be read, or what is done with it fails: damage surfaces as whatever its bytes lead
            the decoder to.
    """
    try:
        with Image.open(path) as image:
            yield require_room(image)
    except Exception as error:
        reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
        raise SmoosegError(f"{path}: image does not decode ({reason})") from error


def orientation(image: Image.Image) -> int | None:
    """The EXIF orientation, or None where there is none that can be read."""
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:  # as above; such an image is taken as it lies
        return None


def is_upright(path: Path) -> bool:
    """Whether an image is to be seen as its pixels lie."""
    with opened(path) as image:
        return orientation(image) in {None, *AS_IT_LIES}


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as it is to be seen."""
    with opened(path) as image:
        return image.size[::-1] if orientation(image) in SIDEWAYS else image.size


def decode_photo(path: Path, least: int | None = None) -> Image.Image:
    """An upright RGB image.

    Args:
        path: Its file.
        least: Length (pixels) that both sides must keep if the decoder can save work by reducing; None keeps all.

    Raises:
        SmoosegError: If it cannot be read or does not decode whole.
    """
    with opened(path) as image:
        turned = orientation(image)
        if least is not None:
            image.draft("RGB", (least, least))
        image.load()
        return to_rgb(ImageOps.exif_transpose(image) if turned else image)


def read_view(path: Path, shape: tuple[int, int], resample: str) -> np.ndarray:
    """A whole image at a view's size.

    A photograph has far more pixels than its view; sampling those as the data sets' images are would give noise.
    So an image of at least twice :data:`SPARE` times the view's sides is averaged down first, by a whole factor.

    Args:
        path: Its file.
        shape: Height and width of the view (pixels).
        resample: Key of :data:`smooseg.images.imaging.RESAMPLING`.

    Returns:
        uint8 (height, width, 3).
    """
    height, width = shape
    image = decode_photo(path, SPARE * max(shape))
    factor = min(image.height // (SPARE * height), image.width // (SPARE * width))
    if factor > 1:
        image = image.reduce(factor)
    return np.asarray(image.resize((width, height), RESAMPLING[resample]))
