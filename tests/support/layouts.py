"""Data sets of the smallest genuine files, in the layouts on disk that the catalogue names."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.io import savemat

from smooseg.images.datasets import LAYOUTS, VOID, open_dataset

CITYSCAPES = [VOID] * 7 + list(range(27))  # by raw id
POTSDAM = [0, 1, 2, 2, 0, 1]


class Case(NamedTuple):
    """A layout's name, a split, files by number, and the class of every raw label value."""

    layout: str
    split: str
    image: str
    label: str
    listing: str | None
    class_of: dict[int, int]

    def open(self, root: Path):
        return open_dataset({"root": root, "layout": self.layout})


CASES = [
    Case(
        "cityscapes",
        "val",
        "leftImg8bit/val/zürich/zürich_00000{}_000019_leftImg8bit.png",
        "gtFine/val/zürich/zürich_00000{}_000019_gtFine_labelIds.png",
        None,
        dict(enumerate(CITYSCAPES)) | {255: VOID},
    ),
    Case(
        "cocostuff27",
        "val",
        "images/val2017/00000000013{}.jpg",
        "annotations/val2017/00000000013{}.png",
        "curated/val2017/Coco164kFull_Stuff_Coarse_7.txt",
        dict(enumerate(LAYOUTS["cocostuff27"].CLASS_OF)) | {255: VOID},
    ),
    Case(
        "potsdam3",
        "test",
        "imgs/tile ä {}.mat",
        "gt/tile ä {}.mat",
        "labelled_test.txt",
        dict(enumerate(POTSDAM)) | {255: VOID, -1: VOID},
    ),
]


def other_split(case: Case, split: str, **changes: str) -> Case:
    """The training split of a layout: its names say so, or ``changes``."""
    names = {
        key: getattr(case, key).replace(case.split, split)
        for key in ("image", "label", "listing")
        if getattr(case, key)
    }
    return case._replace(split=split, **names | changes)


SPLITS = {
    (case.layout, case.split): case
    for case in (
        *CASES,
        other_split(CASES[0], "train"),
        other_split(CASES[1], "train", listing="curated/train2017/Coco164kFull_Stuff_Coarse.txt"),
        other_split(CASES[2], "train", image="imgs/trained {}.mat", label="gt/trained {}.mat"),
        *(
            Case("camvid", name, f"{name}/{{}}.png", f"{name}annot/{{}}.png", f"{name}.txt", dict(enumerate(range(12))))
            for name in ("train", "val")
        ),
    )
}


def save_image(path: Path, pixels: np.ndarray) -> None:
    if path.suffix == ".mat":
        infrared = np.full((*pixels.shape[:2], 1), 9, np.uint8)
        savemat(path, {"img": np.concatenate([pixels, infrared], 2), "other": 1.0}, do_compression=True)
    else:
        Image.fromarray(pixels).save(path)


def save_label(path: Path, ids: np.ndarray) -> None:
    if path.suffix == ".mat":
        savemat(path, {"gt": ids.astype(np.int32)})
    else:
        Image.fromarray(ids.astype(np.uint8)).save(path)


def write_list(root: Path, case: Case, numbers: Iterable[int]) -> None:
    """The list as an editor under Windows writes it."""
    lines = [Path(case.image.format(number)).stem for number in numbers]
    if case.layout == "camvid":
        lines = [f"/x/{case.image.format(number)} /x/{case.label.format(number)}" for number in numbers]
    (root / case.listing).write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join([*lines, ""]).encode())


def write_case(root: Path, case: Case, images: np.ndarray, labels: np.ndarray) -> None:
    """Files of a layout's split: images uint8 (number, height, width, 3), labels of raw values (number, height, width)."""
    for path in (root / name.format(0) for name in (case.image, case.label, case.listing or "unused.txt")):
        path.parent.mkdir(parents=True, exist_ok=True)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        save_image(root / case.image.format(number), image)
        save_label(root / case.label.format(number), label)
    if case.listing:
        write_list(root, case, range(len(images)))
