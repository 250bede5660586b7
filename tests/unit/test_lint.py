"""What ``make lint`` checks: style, types, imports that run downwards, and what snakemake says about the rules."""

import re
import subprocess
import sys

import pytest
from importlinter.api import read_configuration
from importlinter.cli import lint_imports

from tests.conftest import ROOT

WANTED_BY_SNAKEMAKE_ONLY = "Specify a conda environment or container for each rule."  # common.smk says why not


def test_imports_run_downwards_and_every_room_has_its_layer(monkeypatch):
    monkeypatch.chdir(ROOT)
    (contract,) = read_configuration("pyproject.toml")["contracts_options"]
    assert contract["exhaustive"]
    assert lint_imports(cache_dir=None) == 0


def test_what_tests_share_lies_in_support():
    """No test module imports another one: each can be moved or run alone."""
    shared = re.compile(r"^\s*(?:from|import) tests\.(?!conftest\b|support\b)", re.MULTILINE)
    assert not [path for path in (ROOT / "tests").rglob("*.py") if shared.search(path.read_text("utf-8"))]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--no-cache", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow/rules"],
        ["mypy", "--cache-dir", ".mypy_cache"],
    ],
    ids=["ruff check", "ruff format", "snakefmt", "mypy"],
)
def test_a_linter_finds_nothing(command):
    found = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def remarks(folder) -> set[str]:
    """Titles of what ``snakemake --lint`` says about a workflow."""
    command = [sys.executable, "-m", "snakemake", "--lint"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True).stderr
    return set(re.findall(r"^ {4}\* (.*):$", said, re.MULTILINE))


def test_snakemake_has_no_remark_but_one():
    assert remarks(ROOT) == {WANTED_BY_SNAKEMAKE_ONLY}


def test_another_remark_is_seen(tmp_path):
    (tmp_path / "Snakefile").write_text(
        'rule copy:\n    output:\n        "/tmp/copy"\n    script:\n        "copy.py"\n'
    )
    assert {"No log directive defined", 'Absolute path "/tmp/copy" in line 3'} < remarks(tmp_path)
