"""What ``make lint`` checks: style, types, imports that run downwards, and what snakemake says about the rules."""

import re
import subprocess
import sys

import pytest
from importlinter.api import read_configuration
from snakemake.common import __version__ as installed

from tests.conftest import ROOT

WANTED_BY_SNAKEMAKE_ONLY = "Specify a conda environment or container for each rule."  # common.smk says why not


def test_imports_run_downwards_and_every_room_has_its_layer(monkeypatch):
    monkeypatch.chdir(ROOT)
    (contract,) = read_configuration("pyproject.toml")["contracts_options"]
    assert contract["exhaustive"]
    command = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))",
    ]
    result = subprocess.run(command, capture_output=True, text=True)  # its own process: it silences loggers
    assert result.returncode == 0, result.stdout


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


# what the workflow takes from Snakemake

DOCUMENTED = {"snakemake.exceptions.WorkflowError", "snakemake.utils.min_version", "workflow.source_path"}
SNAKEFILES = [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]


def taken(path) -> set[str]:
    """Names of Snakemake and of its workflow object that a Snakefile takes."""
    text = path.read_text("utf-8")
    imports = re.findall(r"^from (snakemake[\w.]*) import (.*)$", text, re.MULTILINE)
    names = {f"{module}.{name.strip()}" for module, names in imports for name in names.split(",")}
    return names | set(re.findall(r"(?<![\w./\"`])workflow\.\w+", text))


def test_only_one_file_takes_what_snakemake_does_not_document():
    undocumented = {path.name for path in SNAKEFILES if taken(path) - DOCUMENTED}
    assert undocumented == {"internals.smk"}
    assert {"workflow.persistence", "snakemake.utils.available_cpu_count"} < taken(
        ROOT / "workflow/rules/internals.smk"
    )


def bounds(path) -> set[str]:
    """Lower bounds of Snakemake that a file states."""
    return set(re.findall(r'(?:snakemake>=|^min_version\(")([\d.]+)', path.read_text("utf-8"), re.MULTILINE))


def test_the_lowest_version_of_snakemake_is_one_everywhere():
    lowest = {
        path.name: bounds(path) for path in (ROOT / "Snakefile", ROOT / "pyproject.toml", ROOT / "environment.yml")
    }
    assert len(set.union(*lowest.values())) == 1
    assert all(lowest.values()), lowest


def test_an_older_snakemake_is_refused(tmp_path):
    text = (ROOT / "Snakefile").read_text("utf-8")
    (tmp_path / "Snakefile").write_text(re.sub(r'(?<=^min_version\(")[\d.]+', "99.0", text, flags=re.MULTILINE))
    run = subprocess.run([sys.executable, "-m", "snakemake", "-n"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode
    assert (
        f"Expecting Snakemake version 99.0 or higher (you are currently using {installed})" in run.stdout + run.stderr
    )
