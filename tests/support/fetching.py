"""What tests of fetched data sets share: the files of a small one, and what must be said and left when it fails."""

from pathlib import Path

import pytest

from smooseg.errors import SmoosegError
from smooseg.images.sources import fetch_dataset

FILES = {
    "set/train.txt": b"a\nb\n",
    "set/train/a.png": bytes(range(256)),
    "set/train/ä b.png": b"umlaut",
    "other/large.bin": b"elsewhere",
    "README.md": b"read me",
}
NOTHING = {
    "size": None,
    "licence": "",
    "citation": "",
    "folder": ".",
    "url": None,
    "sha256": None,
    "git": None,
    "commit": None,
}


def write_files(folder: Path, files: dict[str, bytes] = FILES) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def found(folder: Path) -> dict[str, bytes]:
    """Files of a folder by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def below(folder: str) -> dict[str, bytes]:
    """The files that a fetch of a folder must give."""
    return {name.removeprefix(f"{folder}/"): text for name, text in FILES.items() if name.startswith(f"{folder}/")}


def refusal(source: dict | str, target: Path) -> str:
    """What is said when a fetch fails; it leaves nothing."""
    before = sorted(target.parent.iterdir()) if target.parent.exists() else None
    with pytest.raises(SmoosegError) as error:
        fetch_dataset("mine", source, target)
    assert (sorted(target.parent.iterdir()) if target.parent.exists() else None) == before
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix("mine was not fetched: ")


@pytest.fixture
def target(tmp_path) -> Path:
    """Where a set is to lie."""
    return tmp_path / "root" / "mine"
