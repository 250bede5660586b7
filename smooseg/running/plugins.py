"""Heads and data sets of other packages: found by their entry points, loaded when asked for, counted in reruns."""

import hashlib
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import SmoosegError
from .fingerprint import PACKAGE, dump_file, module_file, source_hash

GROUPS = {"heads": "smooseg.heads", "images.datasets": "smooseg.datasets"}  # entry points by the room they add to
KINDS = {"heads": "smooseg.heads.base.Head", "images.datasets": "smooseg.images.datasets.base.Dataset"}


def plugins(room: str) -> dict[str, EntryPoint]:
    """Entry points that installed packages add to a room, by name.

    Args:
        room: Key of :data:`GROUPS`.

    Raises:
        SmoosegError: If one has the name of a module that smooseg has there, or two have the same.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUPS[room]):
        if module_file(f"{room}.{point.name}") or found.setdefault(point.name, point).value != point.value:
            raise SmoosegError(
                f"{point.value}: the name {point.name} in entry points {GROUPS[room]} is taken; give it another one"
            )
    return found


def load_plugin(room: str, name: str) -> Any:
    """The class behind an entry point.

    Args:
        room: Key of :data:`GROUPS`.
        name: Of the entry point.

    Raises:
        SmoosegError: If it does not load, or is no subclass of the room's :data:`KINDS`.
    """
    point = plugins(room)[name]
    try:
        found = point.load()
    except Exception as error:  # whatever a foreign module raises
        raise SmoosegError(f"{point.value}: does not load ({type(error).__name__}: {error})") from error
    ancestors = found.__mro__ if isinstance(found, type) else ()
    if KINDS[room] not in [f"{kind.__module__}.{kind.__qualname__}" for kind in ancestors]:
        raise SmoosegError(f"{point.value}: must be a subclass of {KINDS[room]}; it is {found!r}")
    return found


def code_of(room: str, name: str) -> str:
    """Hash of the code behind a head or layout: a module of ours with what it imports, or a package with our room.

    Args:
        room: Key of :data:`GROUPS`.
        name: Of a module there, or of an entry point.
    """
    point = plugins(room).get(name)
    if point is None:
        return source_hash(f"{room}.{name}")
    codes = [(path.name, dump_file(path)) for path in package_files(point)]
    return hashlib.sha256(repr([code_of_all(room), codes]).encode()).hexdigest()[:16]


def code_of_all(room: str) -> list[str]:
    """Hashes of all modules and packages of a room, for what may depend on any of them."""
    folder = PACKAGE.joinpath(*room.split("."))
    modules = sorted(child.stem for child in folder.iterdir() if child.stem != "__init__" and is_module(child))
    return [source_hash(room), *(source_hash(f"{room}.{module}") for module in modules)]


def is_module(path: Path) -> bool:
    """Whether a path is a Python module, or a package."""
    return path.suffix == ".py" or (path / "__init__.py").is_file()


def code_with_heads(module: str) -> list[str]:
    """Hashes of a module and of all heads: it loads one of them by name, which no import shows."""
    return [source_hash(module), *code_of_all("heads")]


def package_files(point: EntryPoint) -> list[Path]:
    """Every Python file of the package that an entry point lies in; nothing of it is imported.

    Raises:
        SmoosegError: If there is no such package.
    """
    top = point.module.split(".")[0]
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        raise SmoosegError(f"{point.value}: there is no package {top}; install it again")
    file = Path(spec.origin)
    return sorted(file.parent.rglob("*.py")) if spec.submodule_search_locations else [file]
