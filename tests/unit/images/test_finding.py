"""What a picture is: suffixes, hidden files, links; and what is said of the files that are none."""

import logging
from pathlib import Path

import pytest
from PIL import Image

from smooseg.errors import SmoosegError
from smooseg.images import finding
from smooseg.images.datasets import open_dataset
from smooseg.images.finding import SUFFIXES, find_pictures
from smooseg.images.imaging import decode
from smooseg.images.indexing import index_views
from smooseg.pictures.photos import find_photos

GREEN = (40, 160, 60)
ON_PHONES = ("a.heic", "b.jp2", "c.jfif", "d.gif", "e.avif", "f.jpg", "g.tiff")


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), GREEN).save(path)


@pytest.fixture
def tree(tmp_path) -> Path:
    """Pictures of a layout's split: at hand, in a linked folder, behind a loop, and much that is none."""
    folder = tmp_path / "data" / "images" / "val"
    write(folder / "a.png")
    write(tmp_path / "disk" / "more" / "b.JPG")
    (folder / "linked").symlink_to(tmp_path / "disk")
    (folder / "linked" / "more" / "loop").symlink_to(folder)
    (folder / "again").symlink_to(tmp_path / "disk" / "more")
    for name in ("._a.png", ".ipynb_checkpoints/a-checkpoint.png", ".git/config", "notes.txt", "clip.MOV", "README"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "lost").symlink_to(tmp_path / "nowhere")
    (folder / "x.png").mkdir()
    return folder


OTHERS = "left out: 2 hidden (._a.png, a-checkpoint.png), 3 of other kinds (README, .mov, .txt)"
LEFT_OUT = f"{OTHERS}, 2 dead links (gone.png, lost)"


def test_linked_folders_are_followed_once_and_everything_else_is_accounted_for(tree):
    found = find_pictures(tree)
    assert [path.name for path in found.pictures] == ["a.png", "b.JPG"]
    assert found.summary() == LEFT_OUT
    without = find_pictures(tree, without=tree.parents[2] / "disk")
    assert [path.name for path in without.pictures] == ["a.png"]


def test_the_layout_and_the_command_find_the_same(tree, caplog):
    caplog.set_level(logging.INFO)
    (tree / "gone.png").unlink()
    dataset = open_dataset({"root": tree.parents[1], "layout": "folder"})
    in_layout = [Path(entry.image).relative_to("images/val").as_posix() for entry in dataset.entries("val")]
    photos, problems = find_photos([tree])
    assert in_layout == [photo.path.relative_to(tree).as_posix() for photo in photos]
    assert (len(in_layout), problems) == (2, [])
    assert [record.getMessage() for record in caplog.records] == [f"{tree}: {OTHERS}, 1 dead links (lost)"] * 2
    assert len(index_views(dataset, "val", "whole", 16, False, 1)) == 2


def test_a_data_set_that_lacks_a_picture_is_refused_and_of_a_folder_the_others_are_taken(tree):
    dataset = open_dataset({"root": tree.parents[1], "layout": "folder"})
    with pytest.raises(SmoosegError, match=r"gone\.png: cannot be read \(No such file or directory\)"):
        index_views(dataset, "val", "whole", 16, False, 1)
    assert [photo.name.name for photo in find_photos([tree])[0]] == ["a", "b"]


@pytest.mark.parametrize("name", ON_PHONES)
def test_what_phones_and_browsers_save_is_read(tmp_path, name):
    path = tmp_path / name
    write(path)
    assert find_pictures(tmp_path).pictures == [path]
    image = decode(path, path.read_bytes()).rgb
    assert all(abs(a - b) <= 4 for a, b in zip(image.getpixel((9, 9)), GREEN, strict=True))


def test_every_suffix_is_one_that_pillow_reads():
    formats = Image.registered_extensions()
    assert {suffix for suffix in SUFFIXES if formats.get(suffix) not in Image.OPEN} == {
        ".mpo"
    }  # opened as the JPEG that it is


def test_without_its_plugin_heic_is_left_out_with_the_way_to_it(tmp_path, monkeypatch):
    write(tmp_path / "a.jpg")
    (tmp_path / "b.heic").touch()
    monkeypatch.setattr(finding, "find_spec", lambda name: None)
    found = find_pictures(tmp_path)
    assert [path.name for path in found.pictures] == ["a.jpg"]
    assert found.summary() == "left out: 1 that need the plug-in for HEIC, pip install pillow-heif (b.heic)"
