"""CVAT for images 1.1: annotations.xml, whose masks CVAT's own library encodes, and labels.json for a task's labels."""

import json
from pathlib import Path
from xml.etree import ElementTree

from ...running.files import write_whole
from .folder import MaskFolder

LIBRARY, FILES = "cvat_sdk", ("annotations.xml", "labels.json")


def write(folder: MaskFolder, out: Path) -> None:
    """Write a folder's masks, picture by picture; labels.json is what CVAT takes as a task's raw labels."""
    from cvat_sdk.masks import encode_mask

    labels = [
        {"name": name, "color": folder.colours[i].lower(), "type": "mask", "attributes": []}
        for i, name in folder.names.items()
    ]
    with write_whole(out / FILES[1]) as aside:
        aside.write_text(json.dumps(labels, indent=1), "utf-8")
    with write_whole(out / FILES[0]) as aside, open(aside, "w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        file.write(ElementTree.tostring(meta(labels), "unicode") + "\n")
        for number, mask, ids in folder.read():
            place = {"id": number - 1, "name": mask.picture, "width": mask.width, "height": mask.height}
            image = element("image", place)
            for _, name, where in folder.parts(ids):
                *runs, left, top, right, bottom = encode_mask(where)
                box = {"left": left, "top": top, "width": right - left + 1, "height": bottom - top + 1}
                said = {"label": name, "source": "auto", "occluded": 0, "rle": ", ".join(map(str, runs))} | box
                image.append(element("mask", said | {"z_order": 0}))
            file.write(ElementTree.tostring(image, "unicode") + "\n")
        file.write("</annotations>\n")


def meta(labels: list[dict]) -> ElementTree.Element:
    """What the file says of its task: the labels."""
    root = element("meta", {})
    listed = ElementTree.SubElement(ElementTree.SubElement(root, "task"), "labels")
    for label in labels:
        one = ElementTree.SubElement(listed, "label")
        for key in ("name", "color", "type"):
            ElementTree.SubElement(one, key).text = label[key]
        ElementTree.SubElement(one, "attributes")
    return root


def element(name: str, attributes: dict) -> ElementTree.Element:
    """An element of XML."""
    return ElementTree.Element(name, {key: str(value) for key, value in attributes.items()})
