"""What is seen of a head's clusters in pictures: typical patches, whole pictures with their clusters, pixels."""

import base64
import io
from dataclasses import dataclass, field
from heapq import nlargest

import numpy as np
from PIL import Image

PATCHES = 12  # typical ones of a cluster, at most
ALL_PATCHES, LEAST = 288, 4  # of all clusters together, and still of each
AROUND = 2  # patches on each side of a typical one that are shown with it
PER_PICTURE = 2  # typical patches, at most, of one picture
SIDE, QUALITY = 320, 75  # of a shown picture: pixels of its longer side, quality of its JPEG


@dataclass(order=True)
class Example:
    """A patch of a cluster, and its score, by which it was chosen: the larger the better."""

    score: float
    jpeg: str = field(compare=False)


@dataclass
class Picture:
    """A whole view.

    Args:
        name: Of the picture's file.
        jpeg: The view as a small JPEG, a data URL.
        ids: Clusters of the same pixels as an indexed PNG, a data URL; its greys are the ids.
        pixels: Of the view at full size, for each cluster.
    """

    name: str
    jpeg: str
    ids: str
    pixels: list[int]


class Seen:
    """What was seen of a head's clusters.

    Args:
        clusters: How many the head has.
    """

    def __init__(self, clusters: int):
        self.each = max(LEAST, min(PATCHES, ALL_PATCHES // clusters))  # patches of a cluster
        self.pixels = np.zeros(clusters, np.int64)
        self.patches: list[list[Example]] = [[] for _ in range(clusters)]
        self.pictures: list[Picture] = []

    def take(self, view: np.ndarray, scores: np.ndarray, patch: int, name: str) -> None:
        """Take what is typical from a view.

        Args:
            view: uint8 (height, width, 3).
            scores: Of its pixels, (clusters, height, width).
            patch: Side of a patch (pixels).
            name: Of the picture's file.
        """
        clusters = scores.argmax(0)
        counts = np.bincount(clusters.ravel(), minlength=len(self.pixels))
        self.pixels += counts
        self.pictures.append(Picture(name, jpeg(view), indexed_png(clusters, len(counts)), counts.tolist()))
        centres = scores[:, patch // 2 :: patch, patch // 2 :: patch]
        for cluster in np.unique(centres.argmax(0)):
            own = np.where(centres.argmax(0) == cluster, centres[cluster], -np.inf)
            best = [i for i in np.argsort(-own, axis=None)[:PER_PICTURE] if np.isfinite(own.flat[i])]
            places = [divmod(int(i), own.shape[1]) for i in best]
            found = [Example(float(own[at]), jpeg(cut(view, at, patch))) for at in places]
            self.patches[cluster] = nlargest(self.each, self.patches[cluster] + found)


def pick_evenly(items: list, most: int) -> list:
    """At most so many of some items, evenly spread."""
    return [items[i * len(items) // most] for i in range(most)] if len(items) > most else items


def cut(view: np.ndarray, place: tuple[int, int], patch: int) -> np.ndarray:
    """A patch of a view, and what is around it."""
    top, left = ((at - AROUND) * patch for at in place)
    side = (2 * AROUND + 1) * patch
    top, left = (max(0, min(at, length - side)) for at, length in zip((top, left), view.shape, strict=False))
    return view[top : top + side, left : left + side]


def jpeg(pixels: np.ndarray) -> str:
    """Pixels as a small JPEG, a data URL."""
    image, data = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((SIDE, SIDE))
    image.save(data, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


def indexed_png(ids: np.ndarray, clusters: int) -> str:
    """Ids as an indexed PNG of the size that :func:`jpeg` gives the same pixels, a data URL; grey i is id i.

    Args:
        ids: (height, width), below ``clusters``.
        clusters: At most 256; few of them need fewer bits of a pixel.
    """
    image, data = Image.fromarray(ids.astype(np.uint8)), io.BytesIO()
    image.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST)
    image.putpalette([grey for i in range(256) for grey in (i, i, i)])
    image.save(data, "PNG", bits=next(bits for bits in (1, 2, 4, 8) if clusters <= 1 << bits), optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
