"""Label Studio: tasks.json, whose predictions are brush masks, and labels.xml, the labeling interface they belong to.

The run lengths are written here: Label Studio's SDK, which has them, wants an older numpy than ours and forty packages
more, and what came before it installs a package called tests.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np

from ...errors import SmoosegError
from ...running.files import write_whole
from .folder import MaskFolder

LIBRARY, FILES = None, ("tasks.json", "labels.xml")
LOCAL = "/data/local-files/?d="  # where Label Studio serves files of its own machine
IMAGE, LABEL = "image", "label"  # names of what is seen, and of the brush
CHANNELS, FULL = 4, 255  # of a brush mask's pixel: values, and what they are where it is set
SIZES = 3, 4, 8, 16  # bits that the length of a run may take
LONGEST = 1 << SIZES[-1]  # run


def write(folder: MaskFolder, out: Path) -> None:
    """Write a folder's masks, picture by picture."""
    with write_whole(out / FILES[1]) as aside:
        aside.write_text(interface(folder), "utf-8")
    with write_whole(out / FILES[0]) as aside, open(aside, "w", encoding="utf-8") as file:
        for number, task in enumerate(tasks(folder)):
            file.write(",\n" if number else "[")
            json.dump(task, file)
        file.write("]\n")


def tasks(folder: MaskFolder) -> Iterator[dict]:
    """A task for each picture.

    Raises:
        SmoosegError: If a picture has more pixels than a brush mask can say.
    """
    for _, mask, ids in folder.read():
        if CHANNELS * ids.size >= 1 << 32:
            raise SmoosegError(f"{mask.path}: has {ids.size} pixels, and Label Studio's masks {(1 << 30) - 1} at most")
        place: dict = {"type": "brushlabels", "from_name": LABEL, "to_name": IMAGE}
        place |= {"original_width": mask.width, "original_height": mask.height, "image_rotation": 0}
        results = [
            place | {"id": str(i), "value": {"format": "rle", "rle": encode(where), "brushlabels": [name]}}
            for i, name, where in folder.parts(ids)
        ]
        prediction = {"model_version": "smooseg", "result": results}
        yield {"data": {IMAGE: LOCAL + quote(str(mask.picture))}, "predictions": [prediction]}


def encode(where: np.ndarray) -> list[int]:
    """A mask, bool (height, width), as bytes of Label Studio's run-length code (thi.ng/rle-pack): how many values there
    are, the bits of one and of each size; then for each run 1, the number of its size, its length less one, its value.
    """
    bits = [f"{CHANNELS * where.size:032b}{FULL.bit_length() - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    for length, value in runs(where.ravel()):
        number = next(i for i, size in enumerate(SIZES) if length <= 1 << size)
        bits.append(f"1{number:02b}{length - 1:0{SIZES[number]}b}{value:08b}")
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def runs(where: np.ndarray) -> Iterator[tuple[int, int]]:
    """Lengths and values of the runs in a brush mask's values, of which bool (pixels,) is one channel."""
    edges = np.flatnonzero(where[1:] != where[:-1]) + 1
    for start, stop in pairwise([0, *edges.tolist(), len(where)]):
        rest, value = CHANNELS * (stop - start), FULL * int(where[start])
        for done in range(0, rest, LONGEST):
            yield min(LONGEST, rest - done), value


def interface(folder: MaskFolder) -> str:
    """The labeling interface: the image, and a brush for each class."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=IMAGE, value=f"${IMAGE}")
    brushes = ElementTree.SubElement(view, "BrushLabels", name=LABEL, toName=IMAGE)
    for i, name in folder.names.items():
        ElementTree.SubElement(brushes, "Label", value=name, background=folder.colours[i])
    ElementTree.indent(view)
    return ElementTree.tostring(view, "unicode") + "\n"
