"""How large a picture may be: as large as memory holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from PIL import Image

from ..running.machine import available_memory

BYTES = 8  # of a pixel while it is decoded and converted: the file's own and RGB
GUARD, LIMITS = Lock(), list[int | None]()  # Pillow's limit, once for each opening that is under way


@contextmanager
def without_limit() -> Iterator[None]:
    """Open images of any size: Pillow's limit is for what strangers upload; these are the user's own.

    The limit is back when the last thread has opened its image.
    """
    with GUARD:
        LIMITS.append(Image.MAX_IMAGE_PIXELS if not LIMITS else LIMITS[0])
        Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with GUARD:
            limit = LIMITS.pop()
            if not LIMITS:
                Image.MAX_IMAGE_PIXELS = limit


def require_room(image: Image.Image) -> Image.Image:
    """The image, whose pixels are not decoded yet.

    Raises:
        ValueError: If they would not fit into the memory that is free.
    """
    needed, free = BYTES * image.width * image.height, available_memory()
    if free is not None and needed > free:
        raise ValueError(
            f"its {image.width}x{image.height} pixels need {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB "
            f"are free; cut it into tiles"
        )
    return image
