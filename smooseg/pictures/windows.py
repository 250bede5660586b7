"""Views too large for one pass: overlapping windows, whose scores are blended before the largest is taken.

A window's part that counts ends in the middle of what it shares with the next, plus a ramp on which one fades into the
other; weights sum to 1 everywhere. Rows of windows are done from top to bottom. In memory are a few windows; ids, and
the ramp below the row in work, are files, so that a run that was stopped goes on at the row of windows it was in.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..running.files import write_whole

RAMP = 4  # windows fade into each other over this part of their side
Read = Callable[[slice, slice], np.ndarray]
Score = Callable[[np.ndarray], Iterable[np.ndarray]]


@dataclass(frozen=True)
class Span:
    """A window along one axis of a view, in pixels.

    Args:
        start, stop: Where it lies.
        first, last: Its part that counts.
        weights: float32 (last - first,), how much.
    """

    start: int
    stop: int
    first: int
    last: int
    weights: np.ndarray

    @property
    def inside(self) -> slice:
        """The part that counts, from the window's start."""
        return slice(self.first - self.start, self.last - self.start)


def spans(length: int, side: int, patch: int) -> list[Span]:
    """Windows that cover an axis, evenly spread on whole patches.

    Args:
        length: Of the axis (pixels), a multiple of the patch.
        side: Of a window (pixels), a multiple of the patch and at least two of them.
        patch: Of the backbone (pixels).
    """
    if length <= side:
        return [Span(0, length, 0, length, np.ones(length, np.float32))]
    ramp = side // RAMP
    step = max(patch, side - ramp - patch)  # starts are rounded by at most half a patch each
    starts = np.linspace(0, (length - side) // patch, 1 + -(-(length - side) // step)).round().astype(int) * patch
    joints = (starts[:-1] + side + starts[1:]) // 2 - ramp // 2
    up = (np.arange(ramp, dtype=np.float32) + np.float32(0.5)) / ramp
    found, last = [], len(starts) - 1
    for i, start in enumerate(map(int, starts)):
        first, end = int(joints[i - 1]) if i else 0, int(joints[i]) + ramp if i < last else length
        weights = np.ones(end - first, np.float32)
        if i:
            weights[:ramp] = up
        if i < last:
            weights[-ramp:] = 1 - up
        found.append(Span(start, start + side, first, end, weights))
    return found


class Windows:
    """A view's windows.

    Args:
        shape: Height and width of the view (pixels).
        side: Of a window (pixels).
        patch: Of the backbone (pixels); sides are multiples of it.
    """

    def __init__(self, shape: tuple[int, int], side: int, patch: int):
        self.shape, self.ramp = shape, side // RAMP
        self.rows, self.columns = (spans(length, side, patch) for length in shape)

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)


class Unfinished:
    """What is known of a view whose windows are not all done: files in a folder of its own.

    Args:
        folder: Where they lie; those of another view, or made from something else, are replaced.
        windows: Of the view.
        clusters: Number of clusters.
        made_from: What the result depends on, JSON-able.
    """

    def __init__(self, folder: Path, windows: Windows, clusters: int, made_from: dict):
        self.folder, self.windows = folder, windows
        self.facts = made_from | {"shape": list(windows.shape), "ramp": windows.ramp}
        self.clusters = clusters
        self.rows = self.rows_done()
        if not self.rows:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self.open("r+" if self.rows else "w+")

    def open(self, mode: Literal["r+", "w+"]) -> None:
        """Map the files, of which nothing is in memory yet."""
        height, width = self.windows.shape
        self.ids = np.memmap(self.folder / "ids", np.uint8, mode, shape=(height, width))
        seams = (2, self.clusters, self.windows.ramp, width)
        self.seams = np.memmap(self.folder / "seams", np.float32, mode, shape=seams)

    @property
    def state(self) -> Path:
        """File that says how far it is, and of what."""
        return self.folder / "state.json"

    def rows_done(self) -> int:
        """Rows of windows that an earlier run finished."""
        try:
            state = json.loads(self.state.read_text("utf-8"))
            return state["rows"] if state["facts"] == json.loads(json.dumps(self.facts)) else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def finish_row(self) -> None:
        """Note that a row of windows is done: what it gave is on disk before that is said."""
        self.ids.flush()
        self.seams.flush()
        self.open("r+")  # what was written needs no memory from now on
        self.rows += 1
        with write_whole(self.state) as aside:
            aside.write_text(json.dumps({"rows": self.rows, "facts": self.facts}), "utf-8")

    def seam(self, row: int) -> np.ndarray:
        """Weighted scores that the row of windows above left on the ramp it shares with this one."""
        return self.seams[row % 2]

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


def label_windows(windows: Windows, read: Read, score: Score, done: Unfinished, batch: int) -> Iterator[int]:
    """Put the ids of a view into ``done.ids``, window by window; yields how many windows were done.

    Args:
        windows: Of the view.
        read: Gives the pixels of rows and columns of the view, uint8 (height, width, 3).
        score: Gives float32 (clusters, height, width) for each of some windows, uint8 (windows, height, width, 3).
        done: What is finished already, and takes what follows.
        batch: Windows to score at once.
    """
    for row in windows.rows[done.rows :]:
        tail = None  # of the window to the left, on the ramp that it shares with the next
        for begin in range(0, len(windows.columns), batch):
            columns = windows.columns[begin : begin + batch]
            views = [read(slice(row.start, row.stop), slice(column.start, column.stop)) for column in columns]
            for column, scores in zip(columns, score(np.stack(views)), strict=True):
                part = scores[:, row.inside, column.inside] * (row.weights[:, None] * column.weights)
                if tail is not None:
                    part[:, :, : windows.ramp] += tail
                whole_part = column.last == windows.shape[1]
                tail = None if whole_part else part[:, :, -windows.ramp :]
                settle(part if whole_part else part[:, :, : -windows.ramp], row, column.first, done)
            yield len(columns)
        done.finish_row()


def settle(part: np.ndarray, row: Span, left: int, done: Unfinished) -> None:
    """Take the largest of scores that no window to the right will add to, and leave to the next row what it shares.

    Args:
        part: float32 (clusters, height, width), weighted.
        row: Of windows.
        left: Column of the view that it begins at (pixels).
        done: Takes ids and seams.
    """
    ramp, columns = done.windows.ramp, slice(left, left + part.shape[2])
    end = row.last if row.last == done.windows.shape[0] else row.last - ramp
    if row.first:
        part[:, :ramp] += done.seam(done.rows)[:, :, columns]
    if end < row.last:
        done.seam(done.rows + 1)[:, :, columns] = part[:, -ramp:]
    done.ids[row.first : end, columns] = part[:, : end - row.first].argmax(0)
