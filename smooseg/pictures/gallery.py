"""One HTML page on which a head's clusters are looked at, split, merged and named: ``smooseg gallery``."""

from pathlib import Path

from ..errors import SmoosegError
from ..evaluation.naming import HEAD, read_names
from ..running.files import walk
from ..running.progress import progress
from .output.gallery import first_colours, first_groups, first_names, page_data, tree_of, write_page
from .output.typical import Seen, pick_evenly
from .photos import Photo, find_photos
from .segmenter import Segmenter

MOST = 200  # pictures that are looked at, evenly spread over those given
WINDOWS = 4  # along each axis of a picture that is seen in windows


def make_gallery(
    head: Path, images: list[str], out: Path, weights: Path | None = None, names: Path | None = None
) -> list[str]:
    """Write the page.

    Args:
        head, weights: See :class:`smooseg.pictures.segmenter.Segmenter`.
        images: Image files, folders or globs; those that the head was fitted on if empty.
        out: HTML file to write.
        names: From which clusters and names are taken that the page begins with.

    Returns:
        A "path: problem" for every image that could not be used.

    Raises:
        SmoosegError: If the head or the names cannot be used, or no image can.
    """
    segmenter = Segmenter(head, weights)
    sha256, finest = segmenter.made_from["head_sha256"], segmenter.head.cuts[-1]
    given = (
        read_names(names, segmenter.head.clusters, sha256, finest)
        if names
        else first_names(segmenter.legend, segmenter.head.clusters)
    )
    data = {
        "head": sha256[:HEAD],
        "merges": tree_of(segmenter.head).tolist(),
        "palette": first_colours(segmenter.legend, finest),
        "start": first_groups(given, segmenter.head),
    }
    data["names"] = [given[group[0]] for group in data["start"]]
    segmenter.head = segmenter.head.cut(finest)
    photos, problems = find_photos(images or find_fitted(head))
    seen, used = Seen(finest), 0
    for photo in progress(pick_evenly(photos, MOST), unit="image", desc="gallery"):
        try:
            look(seen, segmenter, photo)
            used += 1
        except SmoosegError as error:
            problems.append(str(error))
    if not used:
        raise SmoosegError("; ".join(problems))
    write_page(data | page_data(seen), used, out)
    return problems


def look(seen: Seen, segmenter: Segmenter, photo: Photo) -> None:
    """Take what is typical from a picture; from some windows of one that is seen in windows.

    Raises:
        SmoosegError: If the picture cannot be read.
    """
    shape = segmenter.shape(*photo.size, photo.raster)
    view, windows = segmenter.open(photo, shape), segmenter.windows(shape)
    parts = [(slice(0, shape[0]), slice(0, shape[1]))]
    if windows is not None:
        rows, columns = pick_evenly(windows.rows, WINDOWS), pick_evenly(windows.columns, WINDOWS)
        parts = [(slice(row.start, row.stop), slice(col.start, col.stop)) for row in rows for col in columns]
    for part in parts:
        pixels = view.read(*part)
        (scores,) = segmenter.score(pixels[None])
        seen.take(pixels, scores, segmenter.needs["patch"], photo.path.name)


def find_fitted(head: Path) -> list[Path]:
    """Pictures of the ``smooseg fit`` that wrote a head.

    Raises:
        SmoosegError: If there are none.
    """
    folders = head.absolute().parents  # the head is OUT/results/experiments/NAME/SEED/head.safetensors
    path = folders[min(4, len(folders) - 1)] / "pictures" / "images" / "train"
    if not path.is_dir():
        raise SmoosegError(f"{head}: not made by smooseg fit, so its pictures are not known; give IMAGES")
    return sorted(walk(path))  # by name, which a VRT must be given by
