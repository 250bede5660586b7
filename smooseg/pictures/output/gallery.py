"""One HTML page on which a head's clusters are looked at and named: ``smooseg gallery``."""

import base64
import io
from dataclasses import dataclass, field
from heapq import nlargest
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, select_autoescape
from PIL import Image

from ...errors import SmoosegError
from ...evaluation.naming import HEAD, read_names
from ...running.files import walk, whole
from ...running.progress import progress
from ...settings.shipped import shipped
from ..photos import Photo, find_photos
from ..segmenter import Segmenter

TEMPLATE = "workflow/report/gallery.html.j2"
PATCHES, PICTURES = 12, 3  # of a cluster, that are shown
MOST = 200  # pictures that are looked at, evenly spread over those given
WINDOWS = 4  # along each axis of a picture that is seen in windows
AROUND = 2  # patches on each side of a typical one that are shown with it
PER_PICTURE = 2  # typical patches, at most, of one picture
SIDE, DIMMED, QUALITY = 320, 0.25, 80  # of a shown picture: pixels, brightness elsewhere, of JPEG


@dataclass(order=True)
class Example:
    """A picture of a cluster, and by what it was chosen: the larger the better."""

    score: float
    jpeg: str = field(compare=False)


@dataclass
class Shown:
    """What is shown of a cluster; images are JPEGs in base64.

    Args:
        pixels: Of all views, that are the cluster's.
        patches: Typical ones, with what is around them.
        pictures: Those that hold most of it, the rest dimmed.
    """

    pixels: int = 0
    patches: list[Example] = field(default_factory=list)
    pictures: list[Example] = field(default_factory=list)


def make_gallery(
    head: Path, images: list[str], out: Path, weights: Path | None = None, names: Path | None = None
) -> list[str]:
    """Write the page.

    Args:
        head, weights: See :class:`smooseg.pictures.segmenter.Segmenter`.
        images: Image files, folders or globs; those that the head was fitted on if empty.
        out: HTML file to write.
        names: From which names are taken that the page begins with.

    Returns:
        A "path: problem" for every image that could not be used.

    Raises:
        SmoosegError: If the head or the names cannot be used, or no image can.
    """
    segmenter = Segmenter(head, weights)
    sha256 = segmenter.made_from["head_sha256"]
    given = read_names(names, segmenter.head.clusters, sha256) if names else first_names(segmenter)
    photos, problems = find_photos(images or fitted_pictures(head))
    shown = [Shown() for _ in range(segmenter.head.clusters)]
    used = 0
    for photo in progress(spread(photos, MOST), unit="image", desc="gallery"):
        try:
            look(segmenter, photo, shown)
            used += 1
        except SmoosegError as error:
            problems.append(str(error))
    if not used:
        raise SmoosegError("; ".join(problems))
    write_page(shown, given, segmenter, sha256[:HEAD], used, out)
    return problems


def first_names(segmenter: Segmenter) -> list[str]:
    """Names of clusters before anybody gave any: their classes' where the head was scored."""
    legend = segmenter.legend
    ids = legend.assignment or range(segmenter.head.clusters)
    return [legend.names.get(i, f"cluster {cluster}") for cluster, i in enumerate(ids)]


def fitted_pictures(head: Path) -> list[Path]:
    """Pictures of the ``smooseg fit`` that wrote a head.

    Raises:
        SmoosegError: If there are none.
    """
    folders = head.absolute().parents  # the head is OUT/results/experiments/NAME/SEED/head.safetensors
    path = folders[min(4, len(folders) - 1)] / "pictures" / "images" / "train"
    if not path.is_dir():
        raise SmoosegError(f"{head}: is not of a smooseg fit, whose pictures are known; give pictures to look at")
    return sorted(walk(path))  # by name, which a VRT must be given by


def look(segmenter: Segmenter, photo: Photo, shown: list[Shown]) -> None:
    """Take from a picture what is typical of its clusters; of one that is seen in windows, from some of them."""
    shape = segmenter.shape(*photo.size, photo.raster)
    view, windows = segmenter.open(photo, shape), segmenter.windows(shape)
    if windows is None:
        return take(segmenter, view.read(slice(0, shape[0]), slice(0, shape[1])), shown)
    for row in spread(windows.rows, WINDOWS):
        for column in spread(windows.columns, WINDOWS):
            take(segmenter, view.read(slice(row.start, row.stop), slice(column.start, column.stop)), shown)


def spread(items: list, most: int) -> list:
    """At most so many of some items, evenly spread."""
    return items[:: -(-len(items) // most) or 1]


def take(segmenter: Segmenter, view: np.ndarray, shown: list[Shown]) -> None:
    """Take from a view what is typical of its clusters."""
    (scores,) = segmenter.score(view[None])
    clusters, patch = scores.argmax(0), segmenter.needs["patch"]
    centres = scores[:, patch // 2 :: patch, patch // 2 :: patch]
    for cluster, count in zip(*np.unique(clusters, return_counts=True), strict=True):
        one = shown[cluster]
        one.pixels += int(count)
        own = np.where(centres.argmax(0) == cluster, centres[cluster], -np.inf)
        best = [i for i in np.argsort(-own, axis=None)[:PER_PICTURE] if np.isfinite(own.flat[i])]
        places = [divmod(int(i), own.shape[1]) for i in best]
        one.patches = nlargest(
            PATCHES, one.patches + [Example(float(own[at]), jpeg(cut(view, at, patch))) for at in places]
        )
        share = float(count / clusters.size)
        one.pictures = nlargest(PICTURES, [*one.pictures, Example(share, jpeg(lit(view, clusters == cluster)))])


def cut(view: np.ndarray, place: tuple[int, int], patch: int) -> np.ndarray:
    """A patch of a view, and what is around it."""
    top, left = ((at - AROUND) * patch for at in place)
    side = (2 * AROUND + 1) * patch
    top, left = (max(0, min(at, length - side)) for at, length in zip((top, left), view.shape, strict=False))
    return view[top : top + side, left : left + side]


def lit(view: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """A view whose other pixels are dimmed."""
    return np.where(chosen[..., None], view, (view * DIMMED).astype(np.uint8))


def jpeg(pixels: np.ndarray) -> str:
    """Pixels as a small JPEG in base64."""
    image, data = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((SIDE, SIDE))
    image.save(data, "JPEG", quality=QUALITY)
    return base64.b64encode(data.getvalue()).decode()


def write_page(shown: list[Shown], names: list[str], segmenter: Segmenter, head: str, used: int, out: Path) -> None:
    """Write the page, the largest clusters first."""
    total = sum(one.pixels for one in shown)
    ids = segmenter.legend.ids(np.arange(len(shown), dtype=np.uint8))
    colours = ["#{:02X}{:02X}{:02X}".format(*segmenter.legend.palette[i]) for i in ids]  # as masks show them
    cards = [
        {"cluster": i, "name": names[i], "colour": colours[i], "share": 100 * one.pixels / total, "shown": one}
        for i, one in sorted(enumerate(shown), key=lambda pair: -pair[1].pixels)
    ]
    template = shipped(TEMPLATE)
    environment = Environment(loader=FileSystemLoader(template.parent), autoescape=select_autoescape(default=True))
    page = environment.get_template(template.name).render(cards=cards, head=head, images=used)
    with whole(out) as aside:
        aside.write_text(page, "utf-8")
