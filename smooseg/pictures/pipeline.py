"""Photos and rasters on their way to masks: read, seen by a head, written.

A photograph is decoded twice, for its view and for its overlay, so that however many are in work, only as many
as there are threads are in memory at full size.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ..errors import SmoosegError
from ..images.datasets import VOID
from ..images.decoding import FEWEST, Picture
from ..images.rasters import RasterView
from .output.geotiffs import write_polygons, write_raster_mask
from .output.masks import overlay_path, palette_image, read_record, scaled_ids, write_csv, write_mask
from .output.overlays import save_overlay
from .photos import Photo, PhotoView, decode_photo
from .segmenter import Segmenter
from .windows import Unfinished, Windows, label_windows

SHARES, LEGEND, AREAS = "shares.csv", "legend.csv", "areas.csv"  # what lies beside the masks
THOUSAND = 1000


class Work:
    """Photos on their way to masks. What cannot be done is noted as a problem, and the others go on.

    Args:
        segmenter: Gives the ids of views.
        out: Folder of the masks.
        problems: List to note problems in.
        polygons: Whether masks of rasters are written as outlines, too.
    """

    def __init__(self, segmenter: Segmenter, out: Path, problems: list[str], polygons: bool = False):
        self.segmenter, self.out, self.problems, self.polygons = segmenter, out, problems, polygons
        self.records: dict[Photo, dict] = {}  # of finished masks
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

    def attempt(self, call: Callable, *arguments):
        """What a call returns, or None where it gives a problem."""
        try:
            return call(*arguments)
        except SmoosegError as error:
            self.problems.append(str(error))

    def batches(self, photos: list[Photo], size: int) -> list[list[tuple[Photo, tuple[int, int]]]]:
        """Photos without a finished mask, each with the shape of its view; a batch has one shape."""
        shapes = [(photo, self.attempt(self.due_shape, photo)) for photo in photos]
        due = sorted((pair for pair in shapes if pair[1]), key=itemgetter(1))
        groups = [list(group) for _, group in groupby(due, itemgetter(1))]
        return [group[start : start + size] for group in groups for start in range(0, len(group), size)]

    def due_shape(self, photo: Photo) -> tuple[int, int] | None:
        """Shape of a photo's view, or None where its mask is finished."""
        mask = self.mask(photo)
        record = read_record(mask)
        if record and record["made_from"] == self.made_from(photo) and all(map(Path.is_file, self.beside(photo))):
            self.records[photo] = record
            return None
        width, height = photo.size
        shape = self.segmenter.shape(width, height, photo.raster)
        self.note_scale(photo, width, height, shape)
        return shape

    def tile(self, photo: Photo, windows: Windows, batch: int) -> Iterator[int]:
        """Do a photo whose view is made of windows; yields how many of them were done, earlier ones first."""
        done = self.attempt(self.unfinished, photo, windows)
        view = done and self.attempt(self.view, photo, windows.shape)
        if view is None:
            yield len(windows)
            return
        yield done.rows * len(windows.columns)
        yield from label_windows(windows, view.read, self.segmenter.score, done, batch)
        del view
        record = self.attempt(self.write, photo, done.ids)
        if record:
            self.records[photo] = record
            done.remove()

    def unfinished(self, photo: Photo, windows: Windows) -> Unfinished:
        """What an earlier run left of a photo's windows."""
        mask = self.mask(photo)
        folder = mask.with_name(f".{mask.stem}.windows")
        return Unfinished(folder, windows, self.segmenter.head.clusters, self.made_from(photo))

    def view(self, photo: Photo, shape: tuple[int, int]) -> PhotoView | RasterView:
        """A photo at its view's size."""
        return self.segmenter.open(photo, shape)

    def read(self, photo: Photo, shape: tuple[int, int]) -> np.ndarray:
        """All of a photo's view, uint8 (height, width, 3)."""
        return self.view(photo, shape).read(slice(0, shape[0]), slice(0, shape[1]))

    def run(self, batches: list[list[tuple[Photo, tuple[int, int]]]], pool: Executor) -> Iterator[int]:
        """Do batches, reading one ahead and writing one behind the backbone; yields how many photos were done."""
        reading, writing = list[Future](), dict[Photo, Future]()
        for batch, following in pairwise([[], *batches, []]):
            views = [self.attempt(future.result) for future in reading]
            reading = [pool.submit(self.read, photo, shape) for photo, shape in following]
            good = [(photo, view) for (photo, _), view in zip(batch, views, strict=True) if view is not None]
            maps = self.segmenter.label(np.stack([view for _, view in good])) if good else []
            written, writing = (
                writing,
                {
                    photo: pool.submit(self.write, photo, clusters)
                    for (photo, _), clusters in zip(good, maps, strict=True)
                },
            )
            yield len(batch) - len(good) + self.collect(written)
        yield self.collect(writing)

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
            "clusters": occurring(clusters),
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
            "clusters": occurring(clusters),
            "square_metres": raster.square_metres,
            "seen": {str(band): limits for band, limits in zip(raster.bands, raster.limits, strict=True)},
        }
        if self.polygons:
            write_polygons(clusters, legend, raster, self.mask(photo).with_suffix(".gpkg"))
        return write_raster_mask(clusters, legend, raster, record, self.mask(photo))

    def note_scale(self, photo: Photo, width: int, height: int, shape: tuple[int, int]) -> None:
        """Remember to say of a photo that it is seen in windows though nobody asked, and how to ask."""
        windows = None if self.segmenter.scale else self.segmenter.windows(shape)
        if windows:
            note = (
                f"more pixels than one view shows: {width}x{height} are seen as {shape[1]}x{shape[0]} in "
                f"{len(windows)} windows; --scale chooses"
            )
            self.notes.setdefault(note, []).append(photo)

    def note(self, photo: Photo, picture: Picture) -> None:
        """Remember what is to be said of a photo."""
        if picture.pages > 1:
            self.notes.setdefault("several pages or frames, of which the first is taken", []).append(photo)
        if picture.bits > FEWEST or not picture.stated:
            note = f"more than 8 bits, of which {picture.bits} are used and the upper 8 kept"
            self.notes.setdefault(note, []).append(photo)

    def collect(self, writing: dict[Photo, Future]) -> int:
        """Wait for masks, keep their records, and return how many there were."""
        for photo, future in writing.items():
            record = self.attempt(future.result)
            if record:
                self.records[photo] = record
        return len(writing)

    def write_tables(self, photos: list[Photo]) -> pd.DataFrame:
        """Write shares and legend, and return the shares."""
        names, palette = self.segmenter.legend.names, self.segmenter.legend.palette
        done, rows = [(photo, self.records[photo]) for photo in photos if photo in self.records], []
        if any(record["pixels"][str(VOID)] for _, record in done):
            names = names | {VOID: "void"}
        for photo, record in done:
            shares = percents([record["pixels"][str(i)] for i in names])
            place = [str(photo.path), self.mask(photo).relative_to(self.out).as_posix()]
            rows.append([*place, record["width"], record["height"], *shares])
        columns = with_classes(["image", "mask", "width", "height"], names.values())
        write_csv([columns, *rows], self.out / SHARES)
        self.write_areas(done, names)
        colours = [[i, name, "#{:02X}{:02X}{:02X}".format(*palette[i])] for i, name in names.items()]
        write_csv([["id", "name", "colour"], *colours], self.out / LEGEND)
        return pd.DataFrame(rows, columns=columns)

    def write_areas(self, done: list[tuple[Photo, dict]], names: dict[int, str]) -> None:
        """Write the square metres of each id in every raster whose coordinates are lengths; no file without any."""
        rows = [
            [str(photo.path), photo.mask.as_posix(), *(round(area * record["pixels"][str(i)], 3) for i in names)]
            for photo, record in done
            if (area := record.get("square_metres"))
        ]
        if rows:
            write_csv([with_classes(["image", "mask"], names.values()), *rows], self.out / AREAS)
        else:
            (self.out / AREAS).unlink(missing_ok=True)


def with_classes(columns: list[str], names: Iterable[str]) -> list[str]:
    """Columns of a table and then those of classes, in the legend's order.

    No two are called alike, or a reader would take one for the other: the column of a class that has the name of an
    earlier column is called "class NAME".
    """
    found = list(columns)
    for name in names:
        while name in found:
            name = f"class {name}"
        found.append(name)
    return found


def percents(counts: list[int]) -> list[float]:
    """Shares in percent, in thousandths that sum to 100: what rounding down leaves goes to the largest remainders."""
    exact = np.array(counts, np.int64) * (100 * THOUSAND)
    whole, rest = np.divmod(exact, sum(counts))
    whole[np.argsort(-rest, kind="stable")[: 100 * THOUSAND - whole.sum()]] += 1
    return (whole / THOUSAND).tolist()


def occurring(clusters: np.ndarray) -> list[int]:
    """Clusters that a map of them, which may be a file, holds."""
    counts = sum(np.bincount(row, minlength=VOID + 1) for row in clusters)
    return np.flatnonzero(counts).tolist()
