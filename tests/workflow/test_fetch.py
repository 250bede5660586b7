"""Data sets that a run fetches when it is asked to, and never otherwise."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.repositories import make_repository


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_checkpoint) -> tuple[Project, dict]:
    """A project without its data set, and the changes that say where this comes from."""
    project = Project(tmp_path_factory.mktemp("project"), tiny_checkpoint)
    origin = tmp_path_factory.mktemp("origin")
    shutil.move(project.folder / "data" / "tiny", origin / "set")
    source = {
        "git": f"file://{origin}",
        "commit": make_repository(origin),
        "folder": "set",
        "size": 1,
        "licence": "mine",
    }
    return project, {"datasets": {"tiny": {"source": source}}}


def said_by(result: subprocess.CompletedProcess) -> str:
    """What a failed run said; never a traceback."""
    said = result.stdout + result.stderr
    assert result.returncode != 0, said
    assert "Traceback" not in said, said
    return said


def data(project: Project) -> list[Path]:
    return sorted((project.folder / "data").iterdir())


TARGET = "results/manifests/tiny/eval.parquet"


def test_a_run_fetches_what_it_needs_only_if_it_is_asked(place):
    project, changes = place
    asked = changes | {"fetch": True}
    said = said_by(project.snakemake(TARGET, **changes))
    assert (
        "Missing data: tiny at data/tiny (--config fetch=true or smooseg datasets fetch tiny fetches about 1 MB, file://"
        in said
    )
    assert "folder set; licence: mine)" in said
    assert project.snakemake(TARGET, "-n", **asked).returncode == 0
    assert data(project) == []  # nor does a dry run fetch

    wrong = {
        "datasets": {"tiny": {"source": changes["datasets"]["tiny"]["source"] | {"commit": "0" * 40}}},
        "fetch": True,
    }
    said = said_by(project.snakemake(TARGET, **wrong))
    assert "Missing data: tiny at data/tiny (tiny was not fetched: file://" in said
    assert f"has no commit {'0' * 40})" in said
    assert data(project) == []

    result = project.snakemake(TARGET, **asked)
    assert result.returncode == 0, result.stderr
    assert "Fetch tiny: about 1 MB, file://" in result.stderr and "licence: mine" in result.stderr
    assert [path.name for path in data(project)] == ["tiny"]
    assert (project.folder / TARGET).is_file()
    for later in (changes, wrong):  # what is there is not fetched again, and nothing runs again
        result = project.snakemake(TARGET, **later)
        assert "Nothing to be done" in result.stdout + result.stderr
