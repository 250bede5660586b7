"""What somebody gives as images: paths, arrays, tensors, Pillow's images, or many of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..errors import SmoosegError
from ..running.files import write_whole

CONVERTED = {"CMYK", "YCbCr"}  # modes of Pillow that mean a colour each, and that no PNG holds
KINDS = "paths, uint8 arrays or tensors of height x width x 3, stacks of them, and Pillow's images"


def is_path(value: Any) -> bool:
    """Whether something names a file, folder or glob."""
    return isinstance(value, str | Path)


def in_array(value: Any) -> Image.Image:
    """One image that lies in memory.

    Raises:
        SmoosegError: If it is none, or one of Pillow's that does not decode.
    """
    if isinstance(value, Image.Image):
        try:
            found = ImageOps.exif_transpose(value)
        except (OSError, ValueError, SyntaxError) as error:
            raise SmoosegError(f"an image does not decode ({error})") from error
        return found.convert("RGB") if found.mode in CONVERTED else found
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        shape = "x".join(map(str, array.shape)) or "no shape"
        raise SmoosegError(f"images are {KINDS}; got {type(value).__name__} of {array.dtype}, {shape}")
    return Image.fromarray(np.ascontiguousarray(array))


def write_png(image: Image.Image, file: Any) -> None:
    """Write an image to a file or path, at once.

    Raises:
        SmoosegError: If no PNG holds such pixels.
    """
    try:
        image.save(file, "PNG", compress_level=1)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk
            raise
        raise SmoosegError(f"an image of mode {image.mode} cannot be used ({error})") from error


def each_image(images: Any) -> list[Any]:
    """Images one by one: those of a list, a tuple or a stack, or the one that is given.

    Raises:
        SmoosegError: If there is none.
    """
    several = isinstance(images, Sequence) and not is_path(images)
    stack = not several and not isinstance(images, Image.Image) and getattr(images, "ndim", 0) == 4
    found = list(images) if several or stack else [images]
    if not found:
        raise SmoosegError("no image was given")
    return found


def is_one(images: Any) -> bool:
    """Whether one image that lies in memory is given, and no list or stack."""
    return not is_path(images) and not isinstance(images, Sequence) and getattr(images, "ndim", 3) != 4


def as_files(images: Any, folder: Path) -> list[str | Path]:
    """Paths of images; of those in memory PNGs are written.

    Args:
        images: As :func:`each_image` takes them.
        folder: For the PNGs, which are called by their place: 0000.png.
    """
    found: list[str | Path] = []
    for number, image in enumerate(each_image(images)):
        if is_path(image):
            found.append(image)
            continue
        path = folder / f"{number:04d}.png"
        with write_whole(path) as aside:
            write_png(in_array(image), aside)
        found.append(path)
    return found


def is_features(data: Any) -> bool:
    """Whether an array or tensor holds features, and no image: three axes of numbers that are no bytes."""
    return getattr(data, "ndim", 0) == 3 and "uint8" not in str(getattr(data, "dtype", "uint8"))
