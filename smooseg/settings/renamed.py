"""Names of before, which are taken for one release; each is said once, with the name that it has now."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from ..errors import SmoosegError

LOG = logging.getLogger(__name__)
HEADS = {"smooth": "smooseg_plus"}
KEYS = {  # by place: a key of before and the one of now; * is any name
    (): {"masks": "proposals", "postprocess": "evaluate"},
    ("tables", "*"): {"postprocess": "evaluate"},
    ("sweeps", "*"): {"postprocess": "evaluate"},
    ("presets",): HEADS,
}
GONE: dict[str, dict[str, Any]] = {  # settings that there are no more, by head: what they do now
    "cause": {"grid": None},
    "equss": {"correspond": "embedding"},
    "primaps": {"prototypes": "momentum"},
    "smooseg_plus": {"exponent": 0.75, "finest": 1.5, "relabellings": 0},
}


def head_name(name: str, where: str = "head") -> str:
    """A head's name of now.

    Args:
        name: Of now or before.
        where: What has it, for the message.
    """
    if name in HEADS:
        LOG.warning("%s %s is called %s now; the old name is taken for one release", where, name, HEADS[name])
    return HEADS.get(name, name)


def rename_keys(config: dict) -> dict:
    """A configuration with names of now; what is not as it must be is left for the schema to refuse.

    Raises:
        SmoosegError: If a key has its old and its new name in one place.
    """
    config, found = deepcopy(config), defaultdict[tuple[str, str], list[str]](list)
    for place, names in KEYS.items():
        for path, part in parts(config, place):
            for old, new in names.items():
                if rename_key(part, where := ".".join([*path, old]), old, new):
                    found[old, new].append(where)
    for (_, new), (first, *others) in found.items():
        more = f" (and {len(others)} more)" if others else ""
        LOG.warning("config: %s%s is called %s now; the old name is taken for one release", first, more, new)
    for path, preset in parts(config, ("presets", "*", "*")):
        drop_gone(path[1], preset, f"config: {'.'.join(path)}")
    for path, experiment in parts(config, ("experiments", "*")):
        where, head = f"config: {'.'.join(path)}", experiment.get("head")
        if isinstance(head, str):
            experiment["head"] = head_name(head, f"{where}.head")
            drop_gone(experiment["head"], experiment.get("settings"), f"{where}.settings")
    return config


def parts(config: Any, place: tuple[str, ...], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Mappings of a configuration at a place, each with its path."""
    if not isinstance(config, dict):
        return
    if not place:
        yield path, config
        return
    for key in [key for key in config if place[0] in ("*", key)]:
        yield from parts(config[key], place[1:], (*path, str(key)))


def rename_key(part: dict, where: str, old: str, new: str) -> bool:
    """Give a key of a mapping its new name, if it is there; whether it was."""
    if old not in part:
        return False
    if new in part:
        raise SmoosegError(f"config: {where} is called {new} now, and {new} is there too; keep that one")
    part[new] = part.pop(old)
    return True


def drop_gone(head: str, settings: Any, where: str) -> None:
    """Take out settings that there are no more, where they have the value that counts now.

    Raises:
        SmoosegError: If one has another value.
    """
    for key, value in GONE.get(head, {}).items() if isinstance(settings, dict) else ():
        if key not in settings:
            continue
        if settings[key] != value:
            raise SmoosegError(f"{where}.{key} is no setting any more, and its {settings[key]!r} is gone; leave it out")
        LOG.warning("%s.%s is no setting any more; leave it out", where, key)
        del settings[key]
