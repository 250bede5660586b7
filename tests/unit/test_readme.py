"""What the README shows works as it stands."""

import re
import shlex

import pytest
import yaml
from click.testing import CliRunner

from smooseg.cli import main
from smooseg.settings.config import resolve
from tests.conftest import ROOT, shipped_config

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Fenced code of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_settings_resolve(text):
    config = shipped_config()
    for key, value in yaml.safe_load(text).items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    resolve(config)


def test_commands_exist():
    commands = {
        line.split("#")[0].split()[1] for block in blocks("sh") for line in block.splitlines() if "smooseg" in line
    }
    assert commands
    for command in commands:
        assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0, command


def test_targets_and_runs_exist():
    config = resolve(shipped_config())
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
        resolve(shipped_config() | given)  # snakemake passes nested values as text
