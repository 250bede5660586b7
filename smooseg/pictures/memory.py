"""Masks in memory: images come as files or arrays, ids and scores go back as arrays, and nothing is written."""

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..errors import SmoosegError, raise_problems
from ..images.datasets import VOID
from ..images.decoding import FEWEST, Picture, read_picture
from ..images.rasters import RasterView
from .given import each_image, in_array, is_path, write_png
from .maps import Mask, Masks
from .output.masks import scaled_ids
from .photos import Photo, PhotoView, decode_photo, find_photos, tell_apart
from .segmenter import Segmenter, require_positive
from .windows import Unfinished, Windows, label_windows

Shape = tuple[int, int]


@dataclass(frozen=True)
class Given:
    """One image on its way to a mask: a file, or a picture in memory.

    Args:
        name: What it is called.
        photo: The file; None for one in memory.
        memory: The picture in memory.
    """

    name: str
    photo: Photo | None = None
    memory: Picture | None = None

    @property
    def size(self) -> Shape:
        """Width and height (pixels)."""
        if self.memory:
            return self.memory.rgb.size
        assert self.photo is not None
        return self.photo.size

    def read_whole(self, segmenter: Segmenter) -> Picture:
        """The picture at its full size."""
        if self.memory:
            return self.memory
        assert self.photo is not None
        if not self.photo.raster:
            return decode_photo(self.photo.path, segmenter.bits)
        raster = segmenter.raster(self.photo)
        shape = raster.height, raster.width
        pixels, void = raster.read_with_void((0, shape[0]), (0, shape[1]), shape)
        return Picture(Image.fromarray(pixels), void if void.any() else None, FEWEST, True, 1)

    def view(self, segmenter: Segmenter, shape: Shape) -> PhotoView | RasterView:
        """The picture at a view's height and width."""
        if self.memory:
            return PhotoView(self.memory.rgb, shape, segmenter.needs["resample"])
        assert self.photo is not None
        return segmenter.open(self.photo, shape)

    def make_mask(self, segmenter: Segmenter, clusters: np.ndarray, scores: np.ndarray | None) -> Mask:
        """The mask, from clusters and scores at the view's size."""
        picture, legend = self.read_whole(segmenter), segmenter.legend
        height, width = picture.rgb.height, picture.rgb.width
        ids = scaled_ids(legend.ids(clusters), height, width)
        if picture.void is not None:
            ids[picture.void] = VOID
        sized = None if scores is None else enlarge(scores, (height, width))
        return Mask(ids, legend, picture.rgb, self.name, sized, self.photo.path if self.photo else None)


def enlarge(scores: np.ndarray, shape: Shape) -> np.ndarray:
    """Scores (clusters, rows, columns) at another height and width."""
    resized = F.interpolate(torch.from_numpy(scores)[None], shape, mode="bilinear", align_corners=False)
    return resized[0].numpy()


def gather(images: Any, bands: tuple[int, ...] | None = None) -> list[Given]:
    """Images one by one, those of folders and globs too.

    Raises:
        SmoosegError: Naming every argument that means none.
    """
    given, problems = list[Given](), list[str]()
    for number, image in enumerate(each_image(images)):
        if is_path(image):
            photos, wrong = find_photos([image])
            given += [Given(photo.name.as_posix(), photo) for photo in photos]
            problems += wrong
        else:
            given.append(Given(f"{number:04d}", memory=picture_of(image)))
    raise_problems("These images cannot be used", problems)
    photos = list({one.photo.path: one.photo for one in given if one.photo}.values())
    names = {photo.path: photo.name.as_posix() for photo in tell_apart(photos)}
    return [Given(names[one.photo.path], replace(one.photo, bands=bands)) if one.photo else one for one in given]


def picture_of(image: Any) -> Picture:
    """A picture in memory as its file would be read."""
    found = in_array(image)
    if found.mode == "RGB":
        return Picture(found, None, FEWEST, True, 1)
    data = io.BytesIO()
    write_png(found, data)
    try:
        return read_picture(data.getvalue())
    except (OSError, ValueError) as error:
        raise SmoosegError(f"an image of mode {found.mode} cannot be used ({error})") from None


def label_images(
    images: Any,
    segmenter: Segmenter,
    *,
    scores: bool = False,
    batch: int = 8,
    bands: tuple[int, ...] | None = None,
) -> Masks:
    """Masks of images, in their order.

    Args:
        images: As :func:`smooseg.pictures.given.each_image` takes them; folders and globs, too.
        segmenter: Gives the ids of views.
        scores: Whether masks get scores of each cluster: float32 (clusters, height, width) takes much memory.
        batch: Images in a forward pass.
        bands: That are seen of rasters, see :class:`smooseg.images.rasters.Raster`.

    Raises:
        SmoosegError: If an image cannot be used.
    """
    require_positive(batch=batch)
    given = gather(images, bands)
    shapes = [segmenter.shape(*one.size, bool(one.photo and one.photo.raster)) for one in given]
    masks: dict[int, Mask] = {}
    for shape in dict.fromkeys(shapes):
        mine = [i for i, other in enumerate(shapes) if other == shape]
        windows, everything = segmenter.windows(shape), (slice(0, shape[0]), slice(0, shape[1]))
        if windows is not None:
            masks |= {i: mask_in_windows(given[i], segmenter, windows, batch, scores) for i in mine}
            continue
        for start in range(0, len(mine), batch):
            some = mine[start : start + batch]
            views = np.stack([given[i].view(segmenter, shape).read(*everything) for i in some])
            for i, (clusters, found) in zip(some, label_views(segmenter, views, scores), strict=True):
                masks[i] = given[i].make_mask(segmenter, clusters, found)
    return Masks(masks[i] for i in range(len(given)))


def label_views(
    segmenter: Segmenter, views: np.ndarray, scores: bool
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Clusters, and scores where they are asked for, of views of one shape."""
    if not scores:
        return ((clusters, None) for clusters in segmenter.label(views))
    return ((found.argmax(0).astype(np.uint8), found) for found in segmenter.score(views))


def mask_in_windows(one: Given, segmenter: Segmenter, windows: Windows, batch: int, scores: bool) -> Mask:
    """The mask of an image that is too large for one view."""
    if scores:
        raise SmoosegError(f"{one.name}: is seen in windows, which give no scores; take size, or a smaller image")
    with tempfile.TemporaryDirectory(prefix="smooseg-") as folder:
        done = Unfinished(Path(folder, "windows"), windows, segmenter.head.clusters, {})
        for _ in label_windows(windows, one.view(segmenter, windows.shape).read, segmenter.score, done, batch):
            pass
        return one.make_mask(segmenter, np.array(done.ids), None)
