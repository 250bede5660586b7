"""What the README shows works as it stands."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from smooseg.cli import main
from smooseg.images.datasets import LAYOUTS, VOID, Dataset, Entry
from smooseg.settings.config import resolve
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Fenced code of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_settings_resolve(text):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for key, value in yaml.safe_load(text).items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    resolve(config)


def test_a_data_set_of_one_page(tmp_path, monkeypatch):
    (example,) = (block for block in blocks("python") if "class Streets" in block)
    names = {"Dataset": Dataset, "Entry": Entry, "VOID": VOID, "Path": Path, "np": np}
    exec(example, names)
    for folder, suffix in (("photos", "jpg"), ("ids", "png")):
        (tmp_path / folder / "val").mkdir(parents=True)
        Image.fromarray(np.array([[0, 10], [20, 255]], np.uint8)).save(tmp_path / folder / "val" / f"a.{suffix}")
    monkeypatch.setitem(LAYOUTS, "streets", names["Streets"])
    view = {"split": "val", "crops": "whole", "size": 224}
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["datasets"]["streets"] = {"layout": "streets", "path": "s", "train": view, "eval": view}
    config["datasets"]["streets"]["classes"] = ["road", "house", "sky"]
    resolve(config)
    dataset = names["Streets"](tmp_path)
    assert dataset.entries("val") == [Entry("photos/val/a.jpg", "ids/val/a.png")]
    assert dataset.read_label(tmp_path / "ids/val/a.png").tolist() == [[0, 1], [2, VOID]]


def test_commands_exist():
    commands = {
        line.split("#")[0].split()[1] for block in blocks("sh") for line in block.splitlines() if "smooseg" in line
    }
    assert commands
    for command in commands:
        assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0, command


def test_targets_and_runs_exist():
    config = resolve(yaml.safe_load((ROOT / "config.yaml").read_text()))
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    known = {*config["tables"], *config["sweeps"], *re.findall(r"^rule (\w+):", rules, re.MULTILINE), "mine"}
    named = [word for line in re.findall(r"snakemake (?:-n|--cores all) ([\w ]+)", README) for word in line.split()]
    assert named
    assert set(named) <= known
    assert set(re.findall(r"run=(\w+)", README)) <= set(config["runs"])


def test_settings_on_the_command_line_resolve():
    lines = [line for line in " ".join(blocks("sh")).splitlines() if "--config " in line]
    assert lines
    for line in lines:
        words = shlex.split(line, comments=True)
        given = dict(word.split("=", 1) for word in words[words.index("--config") + 1 :] if "=" in word)
        resolve(yaml.safe_load((ROOT / "config.yaml").read_text()) | given)  # snakemake passes nested values as text
