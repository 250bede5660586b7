"""Lists of images: of any editor, without paths, repeats or nothing in them."""

import pytest

from smooseg.datasets import open_dataset
from smooseg.errors import SmoosegError

LISTS = {
    "camvid": ("val", "val.txt", "{0}.png {0}.png", "val/{}.png"),
    "cocostuff27": ("train", "curated/train2017/Coco164kFull_Stuff_Coarse.txt", "{}", "images/train2017/{}.jpg"),
    "potsdam3": ("train", "labelled_train.txt", "{}", "imgs/{}.mat"),
}


@pytest.fixture(params=LISTS)
def listed(request, tmp_path):
    """A function that writes a layout's list from names and reads its images, and the layout's image pattern."""
    split, listing, line, image = LISTS[request.param]
    (tmp_path / listing).parent.mkdir(parents=True, exist_ok=True)

    def entries(names, end="\n", encoding="utf-8"):
        text = end.join(line.format(name) if name else " " for name in names)
        (tmp_path / listing).write_bytes(text.encode(encoding))
        dataset = open_dataset({"root": tmp_path, "layout": request.param, "classes": []})
        return [entry.image for entry in dataset.entries(split)]

    return entries, image


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_lists_of_any_editor_are_read(listed, end, encoding):
    entries, image = listed
    names = ["000", "", "Zürich·1", "日本", ""]
    assert entries(names, end, encoding) == [image.format(name) for name in names if name]


@pytest.mark.parametrize("names", [[], ["", ""]])
def test_an_empty_list_is_refused(listed, names):
    with pytest.raises(SmoosegError, match=r"\.txt lists no image"):
        listed[0](names)


def test_a_list_in_another_encoding_is_refused(listed):
    with pytest.raises(SmoosegError, match=r"\.txt: list cannot be read \('utf-8' codec"):
        listed[0](["Zürich"], encoding="latin-1")


def test_repeated_names_are_refused_with_their_lines(listed):
    with pytest.raises(SmoosegError, match=r"\.txt: .*line 4: 'a\S* is on line 1 already; line 5: 'b\S* is on line 3"):
        listed[0](["a", "", "b", "a", "b", "c"])


@pytest.mark.parametrize("layout", ["cocostuff27", "potsdam3"])
def test_paths_in_a_list_are_refused_with_their_lines(tmp_path, layout):
    split, listing, _, _ = LISTS[layout]
    (tmp_path / listing).parent.mkdir(parents=True, exist_ok=True)
    bad = ["../a", "/etc/a", "b/../../a", "..", "c\\a", "d\0", "e/f"]
    (tmp_path / listing).write_text("\n".join(["fine", *bad]))
    with pytest.raises(SmoosegError) as raised:
        open_dataset({"root": tmp_path, "layout": layout}).entries(split)
    for line, name in enumerate(bad, 2):
        assert f"line {line}: {name!r} is not one" in str(raised.value)
    assert f"{tmp_path / listing}: " in str(raised.value) and "fine" not in str(raised.value)


def test_camvid_refuses_a_path_that_ends_in_no_name(tmp_path):
    (tmp_path / "val.txt").write_text("val/a.png valannot/..\n")
    with pytest.raises(SmoosegError, match=r"val\.txt: .*line 1: '\.\.' is not one"):
        open_dataset({"root": tmp_path, "layout": "camvid"}).entries("val")
