"""What a picture is, everywhere: a file of a known suffix that is not hidden; linked folders are followed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ..running.files import walk

HEIF = {".heic", ".heif", ".hif"}  # of phones; Pillow reads them through a plug-in
SUFFIXES = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"),
    *(".avif", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", *HEIF),
}
MOST_NAMED = 5  # files or suffixes of a kind that was left out


@dataclass
class Found:
    """Files that are pictures, in order, and the others by why they are none."""

    pictures: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    def summary(self) -> str:
        """One line on what was left out and why; empty where nothing was."""
        kinds = [f"{len(paths)} {why} ({examples(paths, why)})" for why, paths in self.left_out.items()]
        return f"left out: {', '.join(kinds)}" if kinds else ""


OTHER, HIDDEN, DEAD = "of other kinds", "hidden", "dead links"
NO_PLUGIN = "that need the plug-in for HEIC, pip install pillow-heif"


def examples(paths: list[Path], why: str) -> str:
    """Names of some files, or the suffixes where those are the reason."""
    names = list(dict.fromkeys((path.suffix.lower() or path.name) if why == OTHER else path.name for path in paths))
    return ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")


def is_hidden(path: Path) -> bool:
    """Whether a relative path is hidden, or in a hidden folder: what macOS, editors and notebooks leave."""
    return any(part.startswith(".") for part in path.parts)


def why_not(path: Path, name: Path, also: Iterable[str] = ()) -> str | None:
    """Why a file is no picture, or None where it is one.

    Args:
        path: The file.
        name: Its path below the folder that was given.
        also: Suffixes of pictures beyond :data:`SUFFIXES`.
    """
    if is_hidden(name):
        return HIDDEN
    if not path.exists():
        return DEAD
    if name.suffix.lower() not in {*SUFFIXES, *also}:
        return OTHER
    return NO_PLUGIN if name.suffix.lower() in HEIF and not find_spec("pillow_heif") else None


def find_pictures(
    folder: Path,
    paths: Iterable[Path] | None = None,
    without: Path | None = None,
    dead: bool = False,
    also: Iterable[str] = (),
) -> Found:
    """Pictures at and below a folder, sorted.

    Args:
        folder: Where to look, in linked folders too; a folder that several links lead to is looked into once.
        paths: Files below it to choose from; all if None.
        without: Folder that is not looked into, and not spoken of.
        dead: Whether links to pictures that are not there count as pictures.
        also: Suffixes of pictures beyond :data:`SUFFIXES`.
    """
    found, closed = Found(), without and without.resolve()
    for path in sorted(walk(folder) if paths is None else paths):
        if closed and path.resolve().is_relative_to(closed):
            continue
        why = why_not(path, path.relative_to(folder), also)
        if why is None or (dead and why == DEAD and path.suffix.lower() in SUFFIXES):
            found.pictures.append(path)
        elif why != HIDDEN or path.suffix.lower() in SUFFIXES:  # what is hidden and no picture is nobody's loss
            found.left_out.setdefault(why, []).append(path)
    return found


def register_plugins() -> None:
    """Let Pillow read HEIC where its plug-in is installed."""
    if find_spec("pillow_heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
