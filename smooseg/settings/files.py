"""Files of the configuration: config.yaml, and the catalogue that it is merged over."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..errors import SmoosegError
from .renamed import rename_keys
from .shipped import shipped_path

CATALOGUE = "workflow/catalogue"  # one file for each data set, for backbones and for presets
# levels of names: entries of presets lie below their head's name
SECTIONS = {"experiments": 1, "datasets": 1, "backbones": 1, "tables": 1, "sweeps": 1, "presets": 2}
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML was built with it


class UniqueKeys(Loader):  # type: ignore[misc, valid-type]
    """A YAML loader that refuses a key that stands twice in a mapping, of which others keep the last in silence."""

    def construct_mapping(self, node, deep=False):
        seen = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if first := seen.get(str(key.value)):
                lines = f"lines {first.start_mark.line + 1} and {key.start_mark.line + 1}"
                file = key.start_mark.name
                raise SmoosegError(f"{file}: the key {key.value} appears twice, in {lines}; keep one")
            seen[str(key.value)] = key
        return super().construct_mapping(node, deep)


def read_config(path: Path) -> dict:
    """A configuration as its file has it.

    Raises:
        SmoosegError: If it cannot be read, does not parse, has a key twice or holds no configuration.
    """
    try:
        with open(path, encoding="utf-8") as file:
            config = yaml.load(file, UniqueKeys)
    except OSError as error:
        raise SmoosegError(f"{path}: cannot be read ({error.strerror}); give --config") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SmoosegError(f"{path}: does not parse ({' '.join(str(error).split())})") from error
    if not isinstance(config, dict):
        raise SmoosegError(f"{path}: holds no configuration")
    return config


def read_catalogue(folder: Path | None = None) -> dict:
    """Entries of all files of the catalogue, by section.

    Args:
        folder: Of the files; None takes the one that smooseg comes with.

    Raises:
        SmoosegError: As :func:`read_config`, or if a file has another section, or two files have an entry of one name.
    """
    return deepcopy(join_catalogue(folder or shipped_path(CATALOGUE)))


@cache
def join_catalogue(folder: Path) -> dict:
    """As :func:`read_catalogue`; read once."""
    found: dict[str, dict] = {section: {} for section in SECTIONS}
    owners: dict[tuple, Path] = {}
    for path in sorted(folder.glob("*.yaml")):
        entries = read_config(path)
        if other := [section for section in entries if section not in SECTIONS]:
            raise SmoosegError(f"{path}: the catalogue holds {', '.join(SECTIONS)}, and not {other[0]}")
        for name in names_in(entries):
            if name in owners:
                raise SmoosegError(f"{path}: {'.'.join(name)} stands in {owners[name]} too; keep one")
            owners[name] = path
        overlay(found, entries)
    return found


def names_in(config: Mapping) -> list[tuple[str, ...]]:
    """Paths of the catalogue's kinds of entries in a configuration, as ("datasets", "demo")."""
    found: list[tuple[str, ...]] = []
    for section, levels in SECTIONS.items():
        parts: dict[tuple[str, ...], Any] = {(section,): config.get(section)}
        for _ in range(levels):
            below = {path: part for path, part in parts.items() if isinstance(part, Mapping)}
            parts = {(*path, name): entry for path, part in below.items() for name, entry in part.items()}
        found += parts
    return found


def over_catalogue(config: dict, own: dict | None = None) -> dict:
    """A configuration merged over the catalogue, key by key as Snakemake merges.

    Args:
        config: What was given; it is left as it is.
        own: That part of it whose entries stand in place of the catalogue's of their names, as those of config.yaml do;
            None is all of it.
    """
    merged, config = read_catalogue(), rename_keys(config)  # else old and new names would stand side by side
    for section, *names in names_in(config if own is None else own):
        # files of a table and a sweep of one name would lie in one place
        for place in ("tables", "sweeps") if section in ("tables", "sweeps") else (section,):
            parent = merged[place]
            for name in names[:-1]:
                parent = parent.get(name, {})
            parent.pop(names[-1], None)
    overlay(merged, config)
    return merged


def overlay(base: dict, changes: Mapping) -> None:
    """Merge ``changes`` into ``base``: mappings key by key, everything else in place of what was there."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            part = base.get(key)
            base[key] = part if isinstance(part, dict) else {}
            overlay(base[key], value)
        else:
            base[key] = deepcopy(value)
