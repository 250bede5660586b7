"""``smooseg fit``: what labels say, and bad input in one sentence before anything is written."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smooseg.images.datasets import Folder
from smooseg.pictures.linking import check_pictures, find_labels, label_classes
from smooseg.pictures.photos import find_photos
from tests.support.fitting import cut, fit, times
from tests.support.fitting import place as place  # a fixture


def names_and_doubts(place, caplog, ids_of, names=None) -> tuple[list[str], list[str]]:
    """Class names that a fit on labels with some values takes, and what it says of them."""
    for path in (place / "labels").iterdir():
        Image.fromarray(ids_of(np.asarray(Image.open(path)))).save(path)
    photos, _ = find_photos(["photos"])
    labels = find_labels(Path("labels"), photos)
    names = names or label_classes(Path("labels"), list(labels.values()), 255)
    caplog.set_level(logging.WARNING)  # whatever an earlier command chose
    caplog.clear()
    check_pictures(photos, labels, Folder("", names), 1)
    return names, [record.getMessage().split("; are the ids")[0] for record in caplog.records]


def test_classes_are_those_that_the_labels_hold(place, caplog):
    five = ["class 0", "class 1", "class 2", "class 3", "class 4"]
    names, said = names_and_doubts(place, caplog, lambda ids: np.tile(np.arange(5, dtype=np.uint8), (80, 20))[:, :96])
    assert (names, said) == (five, [])
    names, said = names_and_doubts(place, caplog, lambda ids: np.where(ids == 1, 2, 0).astype(np.uint8))
    assert (names, said) == (five[:3], ["1 of 3 classes occur in no label: class 1"])


def test_labels_of_other_ids_than_the_classes_are_doubted(place, caplog):
    def mostly_white(ids):
        return np.where(np.arange(96) < 90, 255, np.zeros_like(ids))

    _, said = names_and_doubts(place, caplog, mostly_white, ["sky", "house"])
    void = "void covers 93.8 % of the labels' pixels, which are not scored"
    assert said == ["1 of 2 classes occur in no label: house", void]
    (place / "labels" / "stray.png").write_bytes((place / "labels" / "turned.png").read_bytes())
    find_labels(Path("labels"), find_photos(["photos"])[0])
    assert caplog.messages[-1] == "labels: 1 labels fit no picture: stray.png"
    assert caplog.records[-1].levelno == logging.WARNING


def cut_all(folder):
    for path in (folder / "photos").rglob("*.*"):
        path.write_bytes(path.read_bytes()[:100])


def tall_label(folder):
    Image.fromarray(np.zeros((96, 80), np.uint8)).save(folder / "labels" / "turned.png")


def strange_ids(folder):
    Image.fromarray(np.full((80, 96), 7, np.uint8)).save(folder / "labels" / "a.v2.png")


def one_id(folder):
    for path in (folder / "labels").iterdir():
        Image.fromarray(255 * np.asarray(Image.open(path))).save(path)


def foreign(folder):
    (folder / "out").mkdir()
    (folder / "out" / "config.yaml").write_text("run: mine")


LABELS = ("--labels", "labels")
BAD = [
    (cut, (), r"cannot be used: .*a\.v2\.jpg: image does not decode.*dot\.png: is 1x1 pixels, too small for five"),
    (tall_label, LABELS, r"labels/turned\.png: label is 80x96, its image 96x80"),
    (strange_ids, (*LABELS, "--class-names", "above,below"), r"labels/a\.v2\.png: label ids \[7\] are outside 0\.\.1"),
    (
        None,
        ("--labels", "photos/more"),
        r"photos/more: holds no label; that of photos/a\.v2\.jpg would be a\.v2\.png \(\.tif, \.bmp\)",
    ),
    (None, ("--class-names", "a,b"), r"2 class names were given without labels"),
    (
        one_id,
        LABELS,
        r"labels: labels hold only 0 and the void value 255, so there is one class; if 255 is a class",
    ),
    (None, ("--steps", "5"), r"config: kmeans\.steps is unknown"),
    (None, ("none.jpg",), r"These pictures cannot be used: none\.jpg: is missing"),
    (
        None,
        ("--class-names", "sky,,field"),
        r"--class-names 'sky,,field': the name of id 1 is empty; each id needs one",
    ),
    (
        None,
        ("--label-table", "config.yaml"),
        r"config\.yaml: a label table needs --labels, and replaces --class-names",
    ),
    (
        None,
        (*LABELS, "--label-table", "config.yaml"),
        r"config\.yaml: is no table with the columns name, and id, colour",
    ),
    (
        lambda folder: (folder / "t.csv").write_text("name,colour\nsky,blue\n"),
        (*LABELS, "--label-table", "t.csv"),
        r"t\.csv: line 2 is no row of name, and id, .* \(blue is no colour as #4682B4\)",
    ),
    (
        lambda folder: (folder / "t.csv").write_text("name,id\nsky,\n"),
        (*LABELS, "--label-table", "t.csv"),
        r"t\.csv: line 2 is no row of name, .* \(it lacks a name or a value\)",
    ),
    (
        lambda folder: (folder / "t.csv").write_text("name,id\nsky,0\nvoid,1\n"),
        (*LABELS, "--label-table", "t.csv"),
        r"t\.csv: names 1 classes; there must be two, beside void",
    ),
    (None, ("--class-names", "a, b,a"), r"--class-names 'a, b,a': a is the name of ids 0 and 2; keep one"),
    (
        None,
        (*LABELS, "--class-names", "sky,Void"),
        r"config: datasets\.pictures\.classes names 'Void', which no score counts: leave it out, and say with labels "
        r"\(smooseg fit: --label-table\) which values are void",
    ),
    (cut_all, ("--skip-bad",), r"cannot be used: .*cmyk\.JPEG: image does not decode"),
    (foreign, (), r"out: is not empty, and not from an earlier smooseg fit; give another --out"),
]


@pytest.mark.parametrize(("harm", "arguments", "message"), BAD)
def test_bad_input_is_one_sentence_before_anything_is_written(place, harm, arguments, message):
    if harm:
        harm(place)
    before = times(place)
    result = fit("photos", *arguments)
    assert result.exit_code == 1
    assert re.match(f"Error: .*{message}", result.stderr), result.stderr
    assert result.stderr.count("\n") == 1
    assert times(place) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "steps"], "--set 'steps': give a setting and its value"),
        (["--set", "steps=[3"], "--set 'steps=\\[3': give a setting and its value"),
        (["--set", "stps=3"], r"config: smooseg\.stps is unknown.*did you mean steps"),
        (["--set", "steps=many"], r"config: smooseg\.steps must be integer; got 'many'"),
        (
            ["--preset", "tiny"],
            "head smooseg has the presets small, released, cityscapes, potsdam3, potsdam3_dinov2, and not tiny",
        ),
    ],
)
def test_bad_settings_are_one_sentence(place, arguments, message):
    result = fit("photos", *arguments, head="smooseg")
    assert result.exit_code == 1 and re.match(f"Error: {message}", result.stderr), result.stderr
    assert not (place / "out").exists()
