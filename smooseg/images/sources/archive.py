"""A zip or tar on a server: checked by its sha256, and unpacked where no member can leave its folder."""

import hashlib
import http.client
import shutil
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath

from ...errors import SmoosegError
from ...running.progress import progress
from . import MEGABYTE

CHUNK = 1 << 20  # bytes read at a time
TIMEOUT = 60  # seconds without a byte after which a server is given up


def fetch_archive(name: str, source: dict, place: Path) -> Path:
    """Download and unpack an archive; the folder that holds its files.

    Args:
        name: Of the data set.
        source: url, sha256 and folder.
        place: Empty folder to work in.

    Raises:
        SmoosegError: If it cannot be had, is another file, or no archive that is safe to unpack.
    """
    archive, tree = place / "archive", place / "tree"
    try:
        found = download(name, source["url"], archive)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise SmoosegError(f"{source['url']} cannot be had ({getattr(error, 'reason', error) or error})") from None
    if found != source["sha256"].lower():
        raise SmoosegError(f"{source['url']}: sha256 is {found}, expected {source['sha256']}")
    tree.mkdir()
    try:
        unpack(archive, tree, source["url"])
    except (zipfile.BadZipFile, tarfile.TarError, RuntimeError, NotImplementedError, EOFError) as error:
        raise SmoosegError(f"{source['url']} cannot be unpacked ({error})") from None
    archive.unlink()
    folder = tree / source["folder"]
    if not folder.is_dir():
        raise SmoosegError(f"{source['url']} has no folder {source['folder']}")
    return folder


def download(name: str, url: str, path: Path) -> str:
    """Write what a URL gives to a file; its sha256."""
    digest, size = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, path.open("xb") as file:
        said = answer.headers.get("Content-Length")
        with progress(total=int(said) if said else None, desc=name, unit="B", unit_scale=True, leave=False) as bar:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                bar.update(len(chunk))
    if said and size != int(said):
        raise http.client.IncompleteRead(b"", int(said) - size)
    return digest.hexdigest()


def unpack(archive: Path, tree: Path, url: str) -> None:
    """Unpack a zip or tar into a folder.

    Raises:
        SmoosegError: If it is neither, holds a link or a path that leads elsewhere, or more than the disk has room for.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            require_space(sum(member.file_size for member in file.infolist()), tree)
            for member in file.infolist():
                check_member(member, url)
            file.extractall(tree)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as file:
            file.extractall(tree, filter=without_links)
    else:
        raise SmoosegError(f"{url} is neither zip nor tar")


def require_space(needed: int, folder: Path) -> None:
    """Raise if a folder's disk has less room than that many bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SmoosegError(
            f"unpacked it needs {needed / MEGABYTE:.0f} MB, and the disk has {free / MEGABYTE:.0f} MB free"
        )


def check_member(member: zipfile.ZipInfo, url: str) -> None:
    """Raise if a member of a zip is a link, or lies outside of its folder."""
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
        raise SmoosegError(f"{url} cannot be unpacked ({member.filename} lies outside of the archive)")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise SmoosegError(f"{url} cannot be unpacked ({member.filename} is a link)")


def without_links(member: tarfile.TarInfo, tree: str) -> tarfile.TarInfo | None:
    """The standard library's filter for data, which refuses devices and paths outside; links are refused, too."""
    if member.issym() or member.islnk():
        raise tarfile.FilterError(f"{member.name} is a link")
    return tarfile.data_filter(member, tree)
