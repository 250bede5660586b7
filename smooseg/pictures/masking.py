"""From image files to masks, with a fitted head: what ``smooseg segment`` does.

A photograph is decoded twice, for its view and for its overlay, so that however many are in work, only as many
as there are threads are in memory at full size.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ..errors import SmoosegError, listed
from ..images.datasets import VOID
from ..images.decoding import FEWEST, Picture
from ..running.progress import progress
from .masks import masks_below, overlay_path, read_record, scaled_ids, write_csv, write_mask
from .photos import Photo, decode_photo, find_photos, read_view, upright_size
from .segmenter import Segmenter

SHARES, LEGEND = "shares.csv", "legend.csv"  # what lies beside the masks
THREADS = 2  # that decode, enlarge and encode
BATCH = 8  # images in a forward pass
MEANING = ("head_sha256", "assignment", "names")  # of what a mask was made from: what its ids depend on


@dataclass(frozen=True)
class Outcome:
    """What :func:`segment` did.

    Args:
        shares: One row per mask: image, mask, width, height, and the percent of its pixels with each id's name.
        problems: One "file: what is wrong" for each that has no mask.
        kept: Masks that an earlier run had finished.
        used: Clusters that occur in the masks' views.
        clusters: Clusters that the head has.
    """

    shares: pd.DataFrame
    problems: list[str]
    kept: int
    used: int
    clusters: int


class Work:
    """Photos on their way to masks. What cannot be done is noted as a problem, and the others go on.

    Args:
        segmenter: Gives the ids of views.
        out: Folder of the masks.
        problems: List to note problems in.
    """

    def __init__(self, segmenter: Segmenter, out: Path, problems: list[str]):
        self.segmenter, self.out, self.problems = segmenter, out, problems
        self.records: dict[Photo, dict] = {}  # of finished masks
        self.notes: dict[str, list[Photo]] = {}  # what photos have that is to be said

    def mask(self, photo: Photo) -> Path:
        """Where the mask of a photo lies."""
        return self.out / f"{photo.name}.png"

    def made_from(self, photo: Photo) -> dict:
        """Everything that a photo's mask depends on."""
        return self.segmenter.made_from | {"photo": photo.state}

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
        if record and record["made_from"] == self.made_from(photo) and overlay_path(mask).is_file():
            self.records[photo] = record
            return None
        return self.segmenter.shape(*upright_size(photo.path))

    def run(self, batches: list[list[tuple[Photo, tuple[int, int]]]], pool: Executor) -> Iterator[int]:
        """Do batches, reading one ahead and writing one behind the backbone; yields how many photos were done."""
        reading, writing = list[Future](), dict[Photo, Future]()
        for batch, following in pairwise([[], *batches, []]):
            views = [self.attempt(future.result) for future in reading]
            reading = [
                pool.submit(read_view, photo.path, shape, self.segmenter.needs["resample"], self.segmenter.bits)
                for photo, shape in following
            ]
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
            "clusters": np.unique(clusters).tolist(),
        }
        self.note(photo, picture)
        write_mask(enlarged, legend, image, record, self.mask(photo))
        return record

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
            total = record["width"] * record["height"]
            shares = [round(100 * record["pixels"][str(i)] / total, 3) for i in names]
            place = [str(photo.path), self.mask(photo).relative_to(self.out).as_posix()]
            rows.append([*place, record["width"], record["height"], *shares])
        columns = ["image", "mask", "width", "height", *names.values()]
        write_csv([columns, *rows], self.out / SHARES)
        colours = [[i, name, "#{:02X}{:02X}{:02X}".format(*palette[i])] for i, name in names.items()]
        write_csv([["id", "name", "colour"], *colours], self.out / LEGEND)
        return pd.DataFrame(rows, columns=columns)


def other_masks(photos: list[Photo], out: Path) -> dict[Path, dict]:
    """Masks in a folder that are of other pictures, with their records."""
    mine = {out / f"{photo.name}.png" for photo in photos}
    return {path: record for path, record in masks_below(out) if path not in mine}


def require_one_legend(photos: list[Photo], segmenter: Segmenter, out: Path) -> None:
    """Raise if a folder holds masks of other pictures whose ids mean something else than the legend will say."""
    meaning = {key: segmenter.made_from[key] for key in MEANING}
    foreign = [
        path.relative_to(out).as_posix()
        for path, record in other_masks(photos, out).items()
        if {key: record["made_from"].get(key) for key in MEANING} != meaning
    ]
    if foreign:
        raise SmoosegError(
            f"{out}: holds {len(foreign)} masks of other pictures whose ids mean something else ({listed(foreign)}); "
            f"give another --out, or delete them"
        )


def remove_other_masks(photos: list[Photo], out: Path) -> None:
    """Remove the masks and overlays of pictures that are gone."""
    others = other_masks(photos, out)
    for path in others:
        path.unlink()
        overlay_path(path).unlink(missing_ok=True)
    if others:
        logging.warning("%s: %d masks of pictures that are gone were removed", out, len(others))


def segment(
    images: list[str | Path] | str | Path,
    head: str | Path,
    out: str | Path,
    *,
    weights: Path | None = None,
    crf: bool = False,
    size: int | None = None,
    batch: int = BATCH,
) -> Outcome:
    """Write a mask and an overlay for every image, and their shares and legend as CSV; finished masks are kept.

    Args:
        images: Image files, folders or globs.
        head, weights, crf, size: See :class:`smooseg.segmenter.Segmenter`.
        out: Folder to write to.
        batch: Images in a forward pass.

    Raises:
        SmoosegError: If the head cannot be used, there is no image, or masks of another head lie there; a bad image
            is a problem of the outcome.
    """
    segmenter = Segmenter(Path(head), weights, crf, size)
    photos, problems = find_photos([images] if isinstance(images, str | Path) else images)
    if not photos:
        raise SmoosegError("; ".join(problems) or "no image was given")
    require_one_legend(photos, segmenter, Path(out))
    return segment_photos(photos, segmenter, Path(out), problems, batch)


def segment_photos(photos: list[Photo], segmenter: Segmenter, out: Path, problems: list[str], batch: int) -> Outcome:
    """Do what :func:`segment` does, with photos that were found already and the problems of finding them."""
    work = Work(segmenter, out, problems)
    batches = work.batches(photos, batch)
    kept, due = len(work.records), sum(map(len, batches))
    logging.info("%d images, %d finished before, on %s", len(photos), kept, segmenter.device)
    with (
        ThreadPoolExecutor(THREADS) as pool,
        progress(total=kept + due, initial=kept, unit="image", desc="segment") as bar,
    ):
        for done in work.run(batches, pool):
            bar.update(done)
    for note, noted in work.notes.items():
        logging.warning("%s%s: %d images with %s", noted[0].path, ", …" if len(noted) > 1 else "", len(noted), note)
    used = {cluster for record in work.records.values() for cluster in record["clusters"]}
    return Outcome(work.write_tables(photos), problems, kept, len(used), segmenter.head.clusters)
