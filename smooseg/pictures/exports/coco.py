"""COCO: one annotations.json, a run-length mask for each class in each picture, through pycocotools."""

import json
from pathlib import Path

import numpy as np

from ...running.files import write_whole
from .folder import MaskFolder

LIBRARY, FILES = "pycocotools", ("annotations.json",)


def write(folder: MaskFolder, out: Path) -> None:
    """Write a folder's masks; categories are its ids plus one, since 0 is background to some readers."""
    images, annotations = list[dict](), list[dict]()
    for number, mask, ids in folder.read():
        size = {"width": mask.width, "height": mask.height}
        images.append({"id": number, "file_name": str(mask.picture)} | size)
        for i, _, where in folder.parts(ids):
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": i + 1} | encode(where))
    categories = [
        {"id": i + 1, "name": name, "supercategory": "", "color": list(bytes.fromhex(folder.colours[i][1:]))}
        for i, name in folder.names.items()
    ]
    content = {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}
    with write_whole(out / FILES[0]) as aside:
        aside.write_text(json.dumps(content), "utf-8")


def encode(where: np.ndarray) -> dict:
    """The parts of an annotation that say where it is: bool (height, width)."""
    from pycocotools import mask

    rle = mask.encode(np.asfortranarray(where, np.uint8))
    area, box = int(mask.area(rle)), mask.toBbox(rle).tolist()
    return {"segmentation": rle | {"counts": rle["counts"].decode()}, "area": area, "bbox": box, "iscrowd": 0}
