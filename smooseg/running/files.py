"""Files that appear whole or not at all, and a folder in which one run works at a time."""

import fcntl
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import SmoosegError

LOG = logging.getLogger(__name__)
FOLDER = "SMOOSEG_RESULTS"  # environment variable that tells jobs which folder they work in


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write to; what was written is renamed to it, and removed if that failed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield aside
        aside.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a write to a full disk names no file
        raise
    finally:
        aside.unlink(missing_ok=True)


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder, as :func:`scan` finds them."""
    return (Path(entry.path) for entry in scan(folder))


def scan(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Every file below a folder, dead links too; linked folders are followed, and each folder is entered once.

    An entry knows what listing its folder told, so asking for its kind takes no system call.
    """
    entered, pending = set[str](), [str(folder)]
    while pending:
        place = pending.pop()
        if (real := os.path.realpath(place)) in entered:
            continue  # a link back up, or a second one to the same place
        entered.add(real)
        folders = []
        with suppress(OSError), os.scandir(place) as found:
            for entry in found:
                if entry.is_dir():
                    folders.append(entry)
                else:
                    yield entry
        folders.sort(key=lambda entry: (entry.is_symlink(), entry.name))
        pending += [entry.path for entry in reversed(folders)]


def share_folder(folder: Path, begin: bool) -> None:
    """Work in a folder until this process ends, however it does: a lock that kill -9 cannot leave behind.

    Args:
        folder: Created if it is not there.
        begin: Whether to begin a run, with nobody else at work; its jobs come later, and may outlive it.

    Raises:
        SmoosegError: If ``begin`` and somebody else is at work.
    """
    lock_folder(folder, begin)  # never closed but by the end of the process


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Work in a folder for a while, with nobody else at work there; arguments and errors as of :func:`share_folder`."""
    lock = lock_folder(folder, begin=True)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)  # of forks, too
        os.close(lock)


def lock_folder(folder: Path, begin: bool) -> int:
    """The open file that :func:`share_folder` locks."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if begin:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_SH)
    except BlockingIOError:
        os.close(lock)
        raise SmoosegError(
            f"{folder}: another run is at work here, or a job of one that was killed; wait until it ends, or stop it"
        ) from None
    except OSError as error:  # some network disks have no locks
        LOG.warning("%s cannot be locked (%s): do not start a second run in it", folder, error.strerror)
    return lock


def require_text(name: str | Path) -> None:
    """Raise unless a name that came from outside is text in this locale's encoding: tables could not hold it."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        encoding = sys.getfilesystemencoding()
        raise SmoosegError(
            f"{str(name)!a}: the name is not in the encoding of this locale ({encoding}); set PYTHONUTF8=1 in the "
            f"environment, or rename it"
        ) from None


def is_url(path: str | Path) -> bool:
    """Whether a path names something that is not on a file system."""
    return "://" in str(path)
