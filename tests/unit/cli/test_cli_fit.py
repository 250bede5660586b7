"""``smooseg fit``: the whole workflow on people's own pictures, through real snakemake with a tiny backbone."""

import csv
import fcntl
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from smooseg.cli import main
from smooseg.pictures import fit as fitting
from smooseg.pictures import sets
from smooseg.pictures.fit import write_config
from smooseg.pictures.linking import link_pictures
from smooseg.pictures.photos import find_photos
from smooseg.pictures.sets import pictures_of
from smooseg.settings import shipped
from tests.conftest import write_images
from tests.support.fitting import HEAD, cut, fit, times, write_photos
from tests.support.fitting import place as place  # a fixture
from tests.support.gallery import names_csv
from tests.support.package import install
from tests.support.segmenting import ids, picture

KEPT = "finished work is kept, and the same command continues"
COLOURS = np.array([[0, 0, 9], [9, 0, 0]], np.uint8)  # of ids 0 and 1
ADVICE = (
    f"  look at the clusters, name them:\n    smooseg gallery {HEAD}\n",
    f"    smooseg segment photos --head {HEAD} --out out/named --names names.csv\n",
    f"    smooseg segment MORE --head {HEAD} --out out/more\n",
)


def test_pictures_of_every_kind_get_masks_and_only_what_changed_is_done_again(place, capfd):
    (place / "table.csv").write_text("name,r,g,b\nabove,0,0,9\nbelow,9,0,0\nvoid,0,0,0\n")
    scored = ("photos", "--labels", "labels", "--label-table", "table.csv")
    for path in (place / "labels").iterdir():
        Image.fromarray(COLOURS[np.asarray(Image.open(path))]).save(path.with_suffix(".bmp"))
        path.unlink()
    result = fit(*scored, "--quiet", classes=3)
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["out/masks", HEAD, "out/results/report.html"]
    assert capfd.readouterr() == ("", "")
    out = place / "out"
    assert {path.relative_to(out / "masks").as_posix() for path in (out / "masks").rglob("*.png")} == {
        *("a.v2.png", "cmyk.png", "more/alpha.png", "palette.png", "deep.png", "turned.png")
    }
    assert ids(out / "masks" / "turned.png").shape == (80, 96)
    assert "above" in (out / "masks" / "legend.csv").read_text()
    assert (out / "results" / "report.html").is_file()
    scores = json.loads((out / "results/experiments/kmeans/0/raw.json").read_text())
    assert scores["many_to_one_accuracy"] >= scores["accuracy"]
    assert scores["released_accuracy"] > 0 < scores["released_miou"]  # a cluster more than there are classes
    assert (len(scores["assignment"]), sorted(scores["assignment"]), list(scores["iou"])) == (
        3,
        [-1, 0, 1],
        ["above", "below"],
    )
    assert not list((out / "pictures" / "labels" / "train").glob("*"))  # no label lies where heads are trained

    before = times(out / "results") | times(out / "masks") | times(out / "pictures")
    again = fit(*scored, classes=3)
    assert "2 of 6 pictures have a label and were scored" in again.stderr
    assert "6 masks in out/masks, 6 of them from an earlier run" in again.stderr
    assert capfd.readouterr().err == ""  # no stage was due
    for line in ADVICE:
        assert line in again.stderr
    after = times(out / "results") | times(out / "masks") | times(out / "pictures")
    tables = {path for path in after if path.endswith(".csv")}
    assert {path for path in after if after[path] != before.get(path)} <= tables

    names_csv(place / "names.csv", ["a", "b", "a"], place / HEAD)
    result = fit(*scored, "--names", "names.csv", "--quiet", classes=3)
    assert result.exit_code == 0, result.output
    merged, confusion = json.loads((out / "results/experiments/kmeans/0/raw.json").read_text()), scores["confusion"]
    of_a, of_b = merged["assignment"][:2]
    assert merged["assignment"] == [of_a, of_b, of_a] and {of_a, of_b} == {0, 1}
    right = confusion[0][of_a] + confusion[1][of_b] + confusion[2][of_a]
    assert merged["accuracy"] == pytest.approx(100 * right / np.sum(confusion))
    assert (merged["confusion"], merged["many_to_one_miou"]) == (confusion, None)
    (row,) = csv.DictReader((out / "results/tables/scores.csv").open())
    assert (row["merged_by_hand"], float(row["accuracy"])) == ("True", pytest.approx(merged["accuracy"]))
    legend = [line["name"] for line in csv.DictReader((out / "masks/legend.csv").open())]
    assert legend == ["a", "b"]
    shares = list(csv.DictReader((out / "masks/shares.csv").open()))
    assert len(shares) == 6 and all(float(row["a"]) + float(row["b"]) == pytest.approx(100) for row in shares)
    before = times(out / "results") | times(out / "masks") | times(out / "pictures")
    assert before[(out / HEAD.removeprefix("out/")).as_posix()] == after[(out / HEAD.removeprefix("out/")).as_posix()]

    for end in (".png", ".overlay.jpg"):  # of a picture that is gone
        (out / "masks" / f"gone{end}").write_bytes((out / "masks" / f"palette{end}").read_bytes())
    other = fit("photos", "--seed", 1, "--quiet", classes=3)  # without labels
    assert other.exit_code == 0, other.output
    assert other.stdout.split() == ["out/masks", HEAD.replace("/0/", "/1/")]
    assert "cluster 1" in (out / "masks" / "legend.csv").read_text()
    assert not list((out / "masks").glob("gone*"))
    changed = {path for path in before if not path.endswith((".log", ".tsv")) and before[path] != times(out).get(path)}
    assert {path.split("/out/")[1].split("/")[0] for path in changed} <= {"masks", "pictures"}


def test_a_folder_of_pictures_may_hold_the_output(place):
    (place / "photos" / "more" / "out" / "pictures").mkdir(parents=True)
    picture().save(place / "photos" / "more" / "out" / "pictures" / "link.png")
    found = pictures_of(["photos/more"], Path("photos/more/out"))
    assert [photo.path.name for photo in found] == ["alpha.png"]


def test_links_copies_and_upright_pictures_follow_what_is_given(tmp_path, monkeypatch):
    write_photos(tmp_path)
    photos, problems = find_photos([tmp_path / "photos"])
    assert not problems
    labels = {photos[0]: tmp_path / "labels" / "a.v2.png"}
    link_pictures(photos, labels, tmp_path / "data")
    images = tmp_path / "data" / "images" / "train"
    assert (images / "cmyk.JPEG").samefile(tmp_path / "photos" / "cmyk.JPEG")
    with Image.open(images / "turned.png") as turned:
        assert turned.size == (96, 80)
        assert np.asarray(turned)[5, 5].min() > 40  # the bright corner is where it was seen
    assert [path.name for path in (tmp_path / "data" / "images" / "scored").iterdir()] == ["a.v2.jpg"]

    before = times(tmp_path / "data")
    link_pictures(photos, labels, tmp_path / "data")
    assert times(tmp_path / "data") == before

    picture(seed=9).save(tmp_path / "photos" / "new.jpg")
    os.replace(tmp_path / "photos" / "new.jpg", tmp_path / "photos" / "cmyk.JPEG")
    monkeypatch.setattr(os, "link", lambda *paths: (_ for _ in ()).throw(OSError(18, "another file system")))
    link_pictures(photos[:2], {}, tmp_path / "data")
    assert sorted(path.name for path in (tmp_path / "data").rglob("*") if path.is_file()) == ["a.v2.jpg", "cmyk.JPEG"]
    assert (images / "cmyk.JPEG").read_bytes() == (tmp_path / "photos" / "cmyk.JPEG").read_bytes()


IN_ASCII = r"""
import locale, sys
from pathlib import Path
from smooseg.cli import main
from smooseg.pictures.fit import write_config
from smooseg.settings.files import read_config
assert locale.getpreferredencoding(False) != "UTF-8"
write_config({"classes": ["\u5929\u7a7a"]}, Path("out"))
assert read_config(Path("out/config.yaml")) == {"classes": ["\u5929\u7a7a"]}
main(["fit", "photos", "--classes", "2", "--out", "new", "--class-names", sys.argv[1], "--labels", "labels"])
"""


def test_in_a_locale_without_unicode_text_is_utf_8_and_names_must_be_text(place):
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", IN_ASCII, "天空,b"]
    result = subprocess.run(command, env=os.environ | locale, capture_output=True, text=True)
    assert "天空" in (place / "out" / "config.yaml").read_text("utf-8")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
    assert "the name is not in the encoding of this locale (ascii); set PYTHONUTF8=1" in result.stderr


def test_a_stopped_workflow_is_one_sentence_and_leaves_nobody_at_work(place):
    write_config({}, place / "out")
    (place / "out" / "results").mkdir()
    with (place / "out" / "results" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = fit("photos", "--quiet")
        assert refused.exit_code == 1
        assert re.fullmatch(r"Error: out/results: another run .* or stop it\n", refused.stderr)
        assert not (place / "out" / "pictures").exists()
        fcntl.flock(lock, fcntl.LOCK_UN)
        command = [sys.executable, "-c", "from smooseg.cli import main; main()", "fit", "photos", "--classes", "2"]
        options = ["--backbone", "tiny", "--head", "kmeans", "--out", "out", "--quiet"]
        process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
        while not list(place.glob("out/results/logs/index_part/*/*/*.log")):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        said = process.communicate()[1]
        assert (process.returncode, said) == (1, f"Error: stopped by SIGTERM; {KEPT}\n")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which every job holds while it lives


def test_stages_are_a_line_each_and_a_failed_one_names_its_log(place, capfd):
    (place / "tiny.safetensors").write_bytes(b"no weights")
    failed = fit("photos")
    said = capfd.readouterr().err.splitlines()
    *stages, error, failure = said
    numbers, names = zip(*(stage.split(" ", 1) for stage in stages), strict=True)
    assert list(numbers) == [f"[{number}/7]" for number in range(1, len(stages) + 1)]
    assert names[0] == "List the train views of pictures, part 1 of 1"
    log = place / "out" / "results" / "logs" / "fetch_weights" / "tiny.log"
    fetching = stages[names.index("Fetch the weights of tiny")]
    assert re.fullmatch(r"error: .*tiny\.safetensors: not a checkpoint that loads safely .*", error)
    assert failure == f"failed: {fetching}; its log: {log}"
    assert failed.stderr.startswith("Error: out: the workflow stopped for the reason above; out/results/logs holds")
    quiet = fit("photos", "--quiet")
    assert capfd.readouterr().err == ""
    assert re.search(rf"stopped \(.*tiny\.safetensors: not a checkpoint.*\); {log} says more\n", quiet.stderr)


def test_pictures_that_cannot_be_used_are_left_out_if_that_is_asked_for(place, monkeypatch):
    cut(place)
    placed = []
    monkeypatch.setattr(sets, "link_pictures", lambda photos, labels, root: placed.append((photos, labels)))
    monkeypatch.setattr(fitting, "run_workflow", lambda *arguments: sys.exit())
    result = fit("photos", "--skip-bad", "--labels", "labels")
    assert re.search(r"^left out: photos/a\.v2\.jpg: image does not decode", result.stderr, re.MULTILINE)
    assert re.search(r"^left out: photos/dot\.png: is 1x1 pixels, too small", result.stderr, re.MULTILINE)
    ((photos, labels),) = placed
    assert [str(photo.name) for photo in photos] == ["cmyk", "deep", "more/alpha", "palette", "turned"]
    assert [str(photo.name) for photo in labels] == ["turned"]


def test_folders_with_equal_file_names_are_told_apart_by_their_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a/x", "b/x"):
        (tmp_path / folder).mkdir(parents=True)
        picture().save(tmp_path / folder / "1.jpg")
    for given in (["a/x", "b/x"], ["a/x/1.jpg", "b/../b/x/1.jpg"], ["a/x", "b/x/*.jpg"]):
        photos, problems = find_photos(given)
        assert (problems, [str(photo.name) for photo in photos]) == ([], ["a/x/1", "b/x/1"])
    picture().save(tmp_path / "a" / "x" / "1.png")
    photos, problems = find_photos(["a"])
    assert [str(photo.name) for photo in photos] == ["x/1"]
    assert problems == ["a/x/1.png: its mask would have the name of a/x/1.jpg's; give it another --out"]


def test_a_part_of_smooseg_that_is_missing_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "PLACE", tmp_path)
    write_images(tmp_path, "photos", 1)
    result = fit(tmp_path / "images", out=tmp_path / "out")
    assert result.stderr == f"Error: {tmp_path}/Snakefile: this part of smooseg is missing; install smooseg again\n"
    assert not (tmp_path / "out").exists()


def test_every_head_is_offered_with_settings_presets_and_the_option_of_before(place, monkeypatch, tmp_path):
    chosen = []
    monkeypatch.setattr(
        fitting, "fit_pictures", lambda pictures, choice, out, **how: chosen.append(choice) or sys.exit()
    )
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    listed = json.loads(CliRunner().invoke(main, ["heads", "--json"]).stdout)
    for name in [row["name"] for row in listed if row["labels"] == "none"]:
        CliRunner().invoke(
            main, ["fit", "photos", "--clusters", "3", "--backbone", "tiny", "--out", "out", "--head", name]
        )
        assert chosen[-1].head == name
    assert "cosine" in [choice.head for choice in chosen] and len(chosen) == len(listed) - 1
    assert "|cosine|eagle|" in CliRunner().invoke(main, ["fit", "--help"]).stdout.replace("\n", "").replace(" ", "")
    given = ["--preset", "small", "--set", "b1=auto", "--set", "data_term=false"]
    CliRunner().invoke(
        main, ["fit", "photos", "--classes=3", "--backbone", "tiny", "--out", "out", "--head", "smooseg", *given]
    )
    settings = chosen[-1].settings
    assert (settings["b1"], settings["data_term"], settings["steps"], chosen[-1].clusters) == ("auto", False, 600, 3)
    for name in [name for name in sys.modules if name.startswith("mysegmentation")]:
        del sys.modules[name]
