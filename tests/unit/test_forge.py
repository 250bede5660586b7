"""What a public forge reads of this repository: its workflows, its citation, its releases."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import smooseg
from tests.conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def run(*command) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", *map(str, command)], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("schema", "files"),
    [("github-workflows", WORKFLOWS), ("citation-file-format", [ROOT / "CITATION.cff"])],
    ids=["workflows", "citation"],
)
def test_files_follow_their_schema(schema, files):
    found = run("check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    assert found.returncode == 0, found.stdout + found.stderr


def test_zizmor_finds_nothing_in_the_workflows():
    command = [Path(sys.executable).with_name("zizmor"), "--offline", "--no-progress", *WORKFLOWS]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_action_is_pinned_by_its_commit():
    used = [line for path in WORKFLOWS for line in re.findall(r"uses: (.*)", path.read_text())]
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v[\d.]+", line)] == []


def jobs(name: str) -> dict:
    """Jobs of a workflow."""
    return yaml.safe_load((ROOT / ".github/workflows" / name).read_text())["jobs"]


@pytest.mark.parametrize(
    ("name", "commands"),
    [("tests.yml", ["make lint", "make test", "make run"]), ("documentation.yml", ["make docs"])],
)
def test_the_workflows_call_make_alone(name, commands):
    assert [step["run"] for job in jobs(name).values() for step in job["steps"] if "run" in step] == commands


def test_pages_are_published_from_main_alone_by_the_one_job_that_may():
    workflow = yaml.safe_load((ROOT / ".github/workflows/documentation.yml").read_text())
    triggers = workflow[True]  # YAML reads the key "on" as a truth value
    assert triggers["push"] == {"branches": ["main"]}
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert workflow["permissions"] == {}
    assert build["permissions"] == {"contents": "read"}
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert (publish["needs"], publish["if"]) == ("build", "github.event_name == 'push'")
    built = re.search(r"sphinx-build .* (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert build["steps"][-1]["with"]["path"] == built[1]


def test_the_version_stands_in_the_changelog_and_the_citation():
    assert f"## [{smooseg.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == smooseg.__version__


def test_the_public_address_stands_everywhere_or_nowhere():
    known = "urls" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert ("repository-code" in yaml.safe_load((ROOT / "CITATION.cff").read_text())) is known
    assert ("no public address yet" in (ROOT / "README.md").read_text()) is not known
    for page in ("README.md", "docs/start/install.md"):
        assert ("git clone ADDRESS-OF-THIS-REPOSITORY " in (ROOT / page).read_text()) is not known, page
