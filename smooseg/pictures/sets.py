"""Somebody's pictures as a data set of the workflow: which, their labels, where they are put, how they are read."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import SmoosegError, raise_problems
from ..heads.base import FEWEST
from ..images.datasets import VOID, Dataset, open_dataset
from ..settings.schema import check_parts, load_schema
from .label_table import read_label_table
from .linking import (
    CROPS,
    SCORED,
    SIZE,
    TRAIN,
    check_pictures,
    find_labels,
    label_classes,
    link_pictures,
    raster_settings,
)
from .photos import Photo, find_photos

DATASET = "pictures"  # what the data set and its folder are called


@dataclass(frozen=True)
class Labels:
    """Where labels lie, and what their values mean.

    Args:
        folder: Of label files, under the pictures' names.
        names: Of the ids 0, 1, …; where they are not given, as many as the labels hold.
        table: Names of classes, and their ids or colours, see
            :func:`smooseg.pictures.label_table.read_label_table`.
        void: Id that no score counts.

    Raises:
        SmoosegError: If names are given without labels, or twice.
    """

    folder: Path | None = None
    names: list[str] | None = None
    table: Path | None = None
    void: int = VOID

    def __post_init__(self) -> None:
        if self.names and not self.folder:
            raise SmoosegError(f"{len(self.names)} class names were given without labels; give --labels, too")
        if self.table and (self.names or not self.folder):
            raise SmoosegError(f"{self.table}: a label table needs --labels, and replaces --class-names")

    def meanings(self, files: list[Path]) -> tuple[list[str], dict[str, dict[str, list]]]:
        """Names of the classes, and the ids and colours of each as a data set's entry has them."""
        if self.table:
            return read_label_table(self.table)
        if self.names or not self.folder:
            return self.names or [], {}
        return label_classes(self.folder, files, self.void), {}


@dataclass(frozen=True)
class Views:
    """How training views are cut from pictures.

    Args:
        crops: See :func:`smooseg.images.views.crop_boxes`.
        size: Side in pixels, before rounding to the patch.
        resample: Key of :data:`smooseg.images.imaging.RESAMPLING`: bilinear averages photographs down, and nearest
            would sample them.
    """

    crops: str = CROPS
    size: int = SIZE
    resample: str = "bilinear"

    @classmethod
    def of(cls, crops: str, size: int, resample: str) -> "Views":
        """Views as somebody asks for them.

        Raises:
            SmoosegError: If a value is out of range.
        """
        schema, asked = load_schema(), {"crops": crops, "size": size, "resample": resample}
        parts = schema["$defs"]["view"]["properties"] | schema["$defs"]["dataset"]["properties"]
        return cls(**check_parts(asked, {key: parts[key] for key in asked}, schema, "extract"))


@dataclass(frozen=True)
class PictureSet:
    """Pictures that a head is fitted on.

    Args:
        photos: All of them.
        root: Folder that they are put in.
        labelled: Labels of those that are scored.
        classes: Names of the classes; empty without labels.
        void: Id of labels that no score counts.
        meanings: What the values of labels mean where they are no class ids.
        rasters: How rasters among them are seen, see :func:`smooseg.pictures.linking.raster_settings`.
        views: How views are cut from them.
    """

    photos: list[Photo]
    root: Path
    labelled: dict[Photo, Path] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    void: int = VOID
    meanings: dict[str, dict[str, list]] = field(default_factory=dict)
    rasters: dict = field(default_factory=dict)
    views: Views = Views()

    def entry(self, clusters: int | str) -> dict:
        """The data set as config.yaml has it; without labels there is a class for each cluster."""
        return {
            "layout": "raster" if self.rasters else "folder",
            "path": self.root.name,
            "classes": self.classes or [f"class {i}" for i in range(FEWEST if isinstance(clusters, str) else clusters)],
            "void": self.void,
            "labels": self.meanings,
            "settings": self.rasters,
            "resample": self.views.resample,
            "train": {"split": TRAIN, "crops": self.views.crops, "size": self.views.size},
            "eval": {"split": SCORED, "crops": "whole", "size": 320},
        }

    def dataset(self, clusters: int | str = 2) -> Dataset:
        """What reads it."""
        return open_dataset(self.entry(clusters) | {"root": self.root})

    def check(self, clusters: int | str, workers: int, skip_bad: bool = False) -> "PictureSet":
        """Those that can be used, after everything was decoded once.

        Raises:
            SmoosegError: Naming every picture and label that cannot; with ``skip_bad`` only if nothing is left.
        """
        photos = check_pictures(self.photos, self.labelled, self.dataset(clusters), workers, skip_bad)
        return replace(self, photos=photos, labelled={p: self.labelled[p] for p in photos if p in self.labelled})

    def link(self) -> None:
        """Make the folder hold these pictures and labels, and nothing else."""
        link_pictures(self.photos, self.labelled, self.root)


def find_set(
    images: list[str | Path],
    out: Path,
    labels: Labels | None = None,
    scale: float | None = None,
    bands: tuple[int, ...] | None = None,
    views: Views = Views(),
) -> PictureSet:
    """The pictures that arguments mean, with their labels.

    Args:
        images: Image files, folders or globs; what lies below ``out`` is left out.
        out: Folder of its own for everything that is written.
        labels: Of those that are scored.
        scale, bands: Of rasters, see :func:`smooseg.pictures.linking.raster_settings`.
        views: How views are cut from them.

    Raises:
        SmoosegError: If an argument means no picture, two would have masks of one name, or labels are bad.
    """
    labels = labels or Labels()
    photos = [replace(photo, bands=bands) for photo in pictures_of(images, out)]
    rasters = raster_settings(photos, scale, bands)
    labelled = find_labels(labels.folder, photos) if labels.folder else {}
    classes, meanings = labels.meanings(list(labelled.values()))
    return PictureSet(photos, out / DATASET, labelled, classes, labels.void, meanings, rasters, views)


def pictures_of(images: list[str | Path], out: Path) -> list[Photo]:
    """Photos that arguments mean, without what lies below the output folder.

    Raises:
        SmoosegError: If an argument means none, or two photos would have masks of one name.
    """
    photos, problems = find_photos(images, without=out)
    raise_problems("These pictures cannot be used", problems)
    photos = [photo for photo in photos if not photo.path.resolve().is_relative_to(out.resolve())]
    if not photos:
        raise SmoosegError(f"all pictures given lie in {out}, which smooseg fit wrote; give others")
    return photos
