"""From clusters of a view to a picture's mask and what lies beside it."""

from pathlib import Path

import numpy as np
from PIL import Image

from ..images.datasets import VOID
from ..images.decoding import FEWEST, Picture
from .output.geotiffs import write_polygons, write_raster_mask
from .output.masks import overlay_path, palette_image, read_record, scaled_ids, write_mask
from .output.overlays import save_overlay
from .photos import Photo, decode_photo
from .segmenter import Segmenter


class Writer:
    """Writes masks of photographs and rasters.

    Args:
        segmenter: Gives the ids of views.
        out: Folder of the masks.
        polygons: Whether masks of rasters are written as outlines, too.
    """

    def __init__(self, segmenter: Segmenter, out: Path, polygons: bool = False):
        self.segmenter, self.out, self.polygons = segmenter, out, polygons
        self.notes: dict[str, list[Photo]] = {}  # what photos have that is to be said

    def mask(self, photo: Photo) -> Path:
        """Where the mask of a photo lies."""
        return self.out / photo.mask

    def beside(self, photo: Photo) -> list[Path]:
        """Files that are written before a photo's mask."""
        mask = self.mask(photo)
        outlines = [mask.with_suffix(".gpkg")] if photo.raster and self.polygons else []
        return [overlay_path(mask), *outlines]

    def made_from(self, photo: Photo) -> dict:
        """Everything that a photo's mask depends on."""
        return self.segmenter.made_from | {"photo": photo.state, "bands": photo.bands and list(photo.bands)}

    def finished_record(self, photo: Photo) -> dict | None:
        """The record of a photo's mask, if all that is written of it is there and made from the same."""
        record = read_record(self.mask(photo))
        whole = record and record["made_from"] == self.made_from(photo) and all(map(Path.is_file, self.beside(photo)))
        return record if whole else None

    def write(self, photo: Photo, clusters: np.ndarray) -> dict:
        """Write a mask and its overlay.

        Args:
            photo: The photo.
            clusters: uint8 (height, width), of its view.

        Returns:
            The mask's record: made_from, width and height (pixels), pixels of each id, clusters that occur.
        """
        if photo.raster:
            return self.write_raster(photo, clusters)
        picture, legend = decode_photo(photo.path, self.segmenter.bits), self.segmenter.legend
        image = picture.rgb
        enlarged = scaled_ids(legend.ids(clusters), image.height, image.width)
        if picture.void is not None:
            enlarged[picture.void] = VOID
        counts = Image.fromarray(enlarged).histogram()
        record = {
            "made_from": self.made_from(photo),
            "width": image.width,
            "height": image.height,
            "pixels": {str(i): counts[i] for i in [*legend.names, VOID]},
            "clusters": occurring_clusters(clusters),
        }
        self.note(photo, picture)
        save_overlay(image, palette_image(enlarged, legend), legend, self.mask(photo))
        write_mask(enlarged, legend, record, self.mask(photo))
        return record

    def write_raster(self, photo: Photo, clusters: np.ndarray) -> dict:
        """What :meth:`write` does, of a raster."""
        raster, legend = self.segmenter.raster(photo), self.segmenter.legend
        record = {
            "made_from": self.made_from(photo),
            "width": raster.width,
            "height": raster.height,
            "clusters": occurring_clusters(clusters),
            "square_metres": raster.square_metres,
            "seen": {str(band): limits for band, limits in zip(raster.bands, raster.limits, strict=True)},
        }
        if self.polygons:
            write_polygons(clusters, legend, raster, self.mask(photo).with_suffix(".gpkg"))
        return write_raster_mask(clusters, legend, raster, record, self.mask(photo))

    def note(self, photo: Photo, picture: Picture) -> None:
        """Remember what is to be said of a photo."""
        if picture.pages > 1:
            self.notes.setdefault("several pages or frames, of which the first is taken", []).append(photo)
        if picture.bits > FEWEST or not picture.stated:
            note = f"more than 8 bits, of which {picture.bits} are used and the upper 8 kept"
            self.notes.setdefault(note, []).append(photo)


def occurring_clusters(clusters: np.ndarray) -> list[int]:
    """Clusters that a map of them, which may be a file, holds."""
    counts = sum(np.bincount(row, minlength=VOID + 1) for row in clusters)
    return np.flatnonzero(counts).tolist()
