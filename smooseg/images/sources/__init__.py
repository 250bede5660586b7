"""Where a data set's files can be fetched from: a folder of a git repository at a commit, or an archive."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import SmoosegError
from ...running.files import lock_folder

MEGABYTE = 1e6
NEEDED = {"git": "commit", "url": "sha256"}  # kinds of sources, and the key that says which content is meant


def check_source(source: str | dict) -> None:
    """Raise if a resolved ``source`` of a data set names no place, two, or a place without its checksum."""
    if isinstance(source, str):
        return
    kinds = [kind for kind in NEEDED if source[kind]]
    if len(kinds) != 1:
        raise SmoosegError(
            f"source must have git and commit, or url and sha256; it has {' and '.join(kinds) or 'none'}"
        )
    (kind,) = kinds
    (other,) = (key for key in NEEDED.values() if key != NEEDED[kind])
    if not source[NEEDED[kind]] or source[other]:
        raise SmoosegError(f"source.{kind} needs {NEEDED[kind]}, and takes no {other}")
    folder = Path(source["folder"])  # without the dots and double slashes that git does not know
    if ".." in folder.parts or folder.is_absolute() or str(folder) != source["folder"]:
        raise SmoosegError(
            f"source.folder {source['folder']} must lie in the {'repository' if kind == 'git' else 'archive'}, "
            "and be written as a/b"
        )


def describe_size(source: str | dict) -> str:
    """How much would be fetched, in a few words; empty where nothing can be."""
    if isinstance(source, str):
        return ""
    return f"about {source['size']:g} MB" if source["size"] else "size not known"


def describe_source(source: str | dict) -> str:
    """Where a data set comes from, in one line."""
    if isinstance(source, str):
        return source
    place = source["url"] or f"{source['git']} at commit {source['commit']}"
    folder = "" if source["folder"] == "." else f", folder {source['folder']}"
    return f"{describe_size(source)}, {place}{folder}; licence: {source['licence'] or 'not stated'}"


def fetch_dataset(name: str, source: str | dict, folder: Path) -> None:
    """Fetch a data set's files, whole or not at all.

    Args:
        name: Of the data set, for messages.
        source: Of its resolved entry.
        folder: Where the files are to lie; nothing is fetched if it is there.

    Raises:
        SmoosegError: If there is nothing to fetch, it is not what the entry says, or it cannot be had.
    """
    if isinstance(source, str):
        by_hand = f" ({source})" if source else ""
        raise SmoosegError(f"{name} has no source that can be fetched: put it at {folder} by hand{by_hand}")
    try:
        require_room(source, folder)
        with own_place(folder) as (place, lock):
            if not os.path.lexists(folder):  # another fetch may have ended meanwhile
                tree = fetch_tree(name, source, place, lock)
                os.rename(tree, folder)
    except SmoosegError as error:
        raise SmoosegError(f"{name} was not fetched: {error}") from None
    except OSError as error:
        raise SmoosegError(f"{name} was not fetched: {error.filename or folder}: {error.strerror or error}") from None


def fetch_tree(name: str, source: dict, place: Path, lock: int) -> Path:
    """The complete folder of files, below ``place``."""
    if source["git"]:
        from .repository import fetch_folder  # imports wait until something is fetched: the workflow is parsed often

        return fetch_folder(name, source, place, lock)
    from .archive import fetch_archive

    return fetch_archive(name, source, place)


def require_room(source: dict, folder: Path) -> None:
    """Raise if the disk has less room than a source says that it takes."""
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    free = shutil.disk_usage(there).free
    if free < (source["size"] or 0) * MEGABYTE:
        raise SmoosegError(f"{there} has {free / MEGABYTE:.0f} MB free, and {describe_size(source)} are needed")


@contextmanager
def own_place(folder: Path) -> Iterator[tuple[Path, int]]:
    """A hidden neighbour of a folder to fetch into: empty, ours alone, and removed in the end.

    Yields:
        It, and the open file of its lock. A program that inherits this keeps the lock while it works, even if we are
        killed.
    """
    place, new = folder.with_name(f".{folder.name}.fetch"), not folder.parent.exists()
    lock = lock_folder(place, begin=True)
    if not is_open_file(place / ".lock", lock):  # of a fetch that ended while we looked
        os.close(lock)
        raise SmoosegError(f"{place}: another fetch is at work here; try again")
    try:
        empty(place)
        yield place, lock
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)
        if new:
            with suppress(OSError):  # it holds what was fetched
                folder.parent.rmdir()


def is_open_file(path: Path, opened: int) -> bool:
    """Whether a path names a file that is open."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(opened))
    except FileNotFoundError:
        return False


def empty(place: Path) -> None:
    """Remove what a killed fetch left."""
    for path in place.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != ".lock":
            path.unlink()
