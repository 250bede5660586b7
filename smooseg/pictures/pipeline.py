"""Photos and rasters on their way to masks: read, seen by a head, written.

A photograph is decoded twice, for its view and for its overlay, so that however many are in work, only as many
as there are threads are in memory at full size.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np

from ..errors import SmoosegError
from ..images.rasters import RasterView
from .photos import Photo, PhotoView
from .windows import Unfinished, Windows, label_windows
from .writing import Writer


class Work:
    """Photos on their way to masks. What cannot be done is noted as a problem, and the others go on.

    Args:
        writer: Of the masks.
        problems: List to note problems in.
    """

    def __init__(self, writer: Writer, problems: list[str]):
        self.writer, self.segmenter, self.problems = writer, writer.segmenter, problems
        self.records: dict[Photo, dict] = {}  # of finished masks

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
        if record := self.writer.finished_record(photo):
            self.records[photo] = record
            return None
        width, height = photo.size
        shape = self.segmenter.shape(width, height, photo.raster)
        self.note_scale(photo, width, height, shape)
        return shape

    def tile(self, photo: Photo, windows: Windows, batch: int) -> Iterator[int]:
        """Do a photo whose view is made of windows; yields how many of them were done, earlier ones first."""
        done = self.attempt(self.find_unfinished, photo, windows)
        view = done and self.attempt(self.view, photo, windows.shape)
        if view is None:
            yield len(windows)
            return
        yield done.rows * len(windows.columns)
        yield from label_windows(windows, view.read, self.segmenter.score, done, batch)
        del view
        record = self.attempt(self.writer.write, photo, done.ids)
        if record:
            self.records[photo] = record
            done.remove()

    def find_unfinished(self, photo: Photo, windows: Windows) -> Unfinished:
        """What an earlier run left of a photo's windows."""
        mask = self.writer.mask(photo)
        folder = mask.with_name(f".{mask.stem}.windows")
        return Unfinished(folder, windows, self.segmenter.head.clusters, self.writer.made_from(photo))

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
                    photo: pool.submit(self.writer.write, photo, clusters)
                    for (photo, _), clusters in zip(good, maps, strict=True)
                },
            )
            yield len(batch) - len(good) + self.collect(written)
        yield self.collect(writing)

    def note_scale(self, photo: Photo, width: int, height: int, shape: tuple[int, int]) -> None:
        """Remember to say of a photo that it is seen in windows though nobody asked, and how to ask."""
        windows = None if self.segmenter.scale else self.segmenter.windows(shape)
        if windows:
            note = (
                f"more pixels than one view shows: {width}x{height} are seen as {shape[1]}x{shape[0]} in "
                f"{len(windows)} windows; --scale chooses"
            )
            self.writer.notes.setdefault(note, []).append(photo)

    def collect(self, writing: dict[Photo, Future]) -> int:
        """Wait for masks, keep their records, and return how many there were."""
        for photo, future in writing.items():
            record = self.attempt(future.result)
            if record:
                self.records[photo] = record
        return len(writing)
