"""Which images of one folder are a split's: those that a list names, those whose names begin so, the first of them."""

from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ...errors import SmoosegError, raise_problems
from ..finding import SUFFIXES

SPLIT = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "list": {
            "type": ["string", "null"],
            "default": None,
            "description": "File that names the images, below the data set's folder: one a line, or YAML or JSON.",
        },
        "key": {
            "type": ["string", "null"],
            "default": None,
            "description": "Key of the names in a YAML or JSON file; null where the file is the list.",
        },
        "without": {
            "type": ["string", "null"],
            "default": None,
            "description": "Another key of that file, whose names are left out if they stand under both.",
        },
        "prefix": {"type": "string", "default": "", "description": "What the names of the images begin with."},
        "skip": {
            "type": "integer",
            "minimum": 0,
            "default": 0,
            "description": "Number of images that are left out, of those in order of their names.",
        },
        "first": {
            "type": ["integer", "null"],
            "minimum": 1,
            "default": None,
            "description": "Number of images that are taken after these; null takes all.",
        },
    },
}


def chosen_names(names: list[str], root: Path, split: dict) -> set[str]:
    """Names of a split's images.

    Args:
        names: Of all images in order: paths in their folder, without suffix and end.
        root: Folder of the data set.
        split: Values of :data:`SPLIT`; folder and end, which a list may have around a name.

    Raises:
        SmoosegError: If the list cannot be read, or names an image that is not there.
    """
    if split["list"]:
        listing = root / split["list"]
        wanted = find_names(listing, split["key"], names, split)
        left_out = find_names(listing, split["without"], names, split) if split["without"] else set()
        names = [name for name in names if name in wanted - left_out]
    names = [name for name in names if PurePosixPath(name).name.startswith(split["prefix"])]
    last = None if split["first"] is None else split["skip"] + split["first"]
    return set(names[split["skip"] : last])


def find_names(listing: Path, key: str | None, names: list[str], split: dict) -> set[str]:
    """Those of some names that a list means: by path or name, with suffix and end or without, or by number."""
    known = set(names)
    numbered = {int(stem): name for name in names if (stem := PurePosixPath(name).name).isdecimal()}
    found, problems = set[str](), []
    for written in read_list(listing, key):
        name = plain_name(str(written), split["folder"], split["end"])
        if name not in known and name.isdecimal():
            name = numbered.get(int(name), name)
        if name in known:
            found.add(name)
        else:
            problems.append(str(written))
    raise_problems(f"{listing}: these images are not in {split['folder']}", problems)
    return found


def plain_name(written: str, folder: str, end: str) -> str:
    """A path of a list as a name: in the folder of images, without suffix and end."""
    path = PurePosixPath(written)
    if path.is_relative_to(folder):
        path = path.relative_to(folder)
    if path.suffix.lower() in SUFFIXES:
        path = path.with_suffix("")
    return str(path.with_name(path.name.removesuffix(end))) if path.name.removesuffix(end) else str(path)


def read_list(listing: Path, key: str | None) -> list[str | int]:
    """What a list holds: the lines of a text file, or the items of a list in YAML or JSON.

    Raises:
        SmoosegError: If it is missing, does not parse, or has no such list.
    """
    items: Any
    try:
        text = listing.read_text("utf-8-sig")
        if listing.suffix.lower() not in {".yaml", ".yml", ".json"}:
            items = [line.strip() for line in text.splitlines() if line.strip()]
        else:
            items = yaml.safe_load(text)  # JSON is YAML
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SmoosegError(f"{listing}: list cannot be read ({error})") from error
    if key is not None:
        if not isinstance(items, dict) or key not in items:
            known = f"; it has {', '.join(map(str, items))}" if isinstance(items, dict) else ""
            raise SmoosegError(f"{listing}: has no key {key}{known}")
        items = items[key]
    if not isinstance(items, list) or not items or not all(type(item) in (str, int) for item in items):
        raise SmoosegError(f"{listing}: {f'key {key}' if key else 'it'} must list names or numbers of images")
    return items
