"""Data sets from a zip or tar: checked, unpacked whole or not at all, and never outside of their folder."""

import hashlib
import io
import os
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from smooseg.images import sources
from smooseg.images.sources import fetch_dataset
from tests.support.fetching import FILES, NOTHING, below, found, refusal
from tests.support.fetching import target as target  # a fixture
from tests.support.repositories import serve


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], **link: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
        for name, leads in link.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, leads
            file.addfile(member)
    return buffer.getvalue()


def linked_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        member = zipfile.ZipInfo("set/link")
        member.external_attr = 0o120777 << 16
        file.writestr(member, "/etc/passwd")
    return buffer.getvalue()


def archive(place: Path, content: bytes, **changes) -> dict:
    """A source of these bytes."""
    (place / "archive.bin").write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    return NOTHING | {"url": f"file://{place}/archive.bin", "sha256": checksum, "folder": "set"} | changes


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archives_are_unpacked(pack, tmp_path, target):
    fetch_dataset("mine", archive(tmp_path, pack(FILES)), target)
    assert found(target) == below("set")
    assert os.listdir(target.parent) == ["mine"]


def test_archives_of_a_server(tmp_path, target, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    source = archive(tmp_path, zipped(FILES))
    with serve(tmp_path) as address:
        fetch_dataset("mine", source | {"url": f"{address}/archive.bin"}, target)
        missing = f"{address}/nothing.zip"
        assert refusal(source | {"url": missing}, target.with_name("a")) == f"{missing} cannot be had (File not found)"
    assert found(target) == below("set")
    assert "cannot be had" in refusal(source | {"url": f"{address}/archive.bin"}, target.with_name("a"))


@pytest.mark.parametrize(
    ("content", "change", "sentence"),
    [
        (zipped(FILES), {"sha256": "0" * 64}, r"\S+: sha256 is \w{64}, expected 0{64}"),
        (zipped(FILES), {"folder": "sets"}, r"\S+ has no folder sets"),
        (b"text", {}, r"\S+ is neither zip nor tar"),
        (zipped({"../out": b""}), {}, r"\S+ cannot be unpacked \(\.\./out lies outside of the archive\)"),
        (zipped({"/out": b""}), {}, r"\S+ cannot be unpacked \(/out lies outside of the archive\)"),
        (linked_zip(), {}, r"\S+ cannot be unpacked \(set/link is a link\)"),
        (tarred({"../out": b""}), {}, r"\S+ cannot be unpacked \('\.\./out' would be extracted to .*\)"),
        (tarred({}, link="/etc/passwd"), {}, r"\S+ cannot be unpacked \(link is a link\)"),
        (tarred(FILES)[:120], {}, r"\S+ (cannot be unpacked \(.*\)|is neither zip nor tar)"),
    ],
    ids=["sha256", "folder", "text", "zip outside", "zip absolute", "zip link", "tar outside", "tar link", "tar cut"],
)
def test_archives_that_are_refused(content, change, sentence, tmp_path, target):
    said = refusal(archive(tmp_path, content, **change), target)
    assert re.fullmatch(sentence, said), said
    assert not (tmp_path / "out").exists()


def test_a_disk_without_room_for_what_an_archive_holds(tmp_path, target, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(sources.shutil, "disk_usage", lambda path: usage)
    assert re.fullmatch(r"unpacked it needs \d+ MB, .*", refusal(archive(tmp_path, zipped(FILES)), target))


def test_a_disk_that_fills_during_a_download(tmp_path, target, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("smooseg.images.sources.archive.download", fail)
    assert refusal(archive(tmp_path, zipped(FILES)), target) == f"{target}: No space left on device"
