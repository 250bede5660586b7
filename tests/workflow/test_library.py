"""The library and the workflow on one folder: what one of them finished, the other takes, both ways."""

import shutil

import yaml
from click.testing import CliRunner

import smooseg
from smooseg.cli import main
from tests.conftest import write_images
from tests.support.project import TINY

HEAD = "head.safetensors"


def chunks(results) -> dict:
    """Times of the files that hold features."""
    return {path: path.stat().st_mtime_ns for path in (results / "features").rglob("c.*.0")}


def test_what_one_finished_the_other_takes(tmp_path, tiny_checkpoint, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path, "photos", 4)
    (tmp_path / "tiny.safetensors").write_bytes(tiny_checkpoint.read_bytes())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY))
    results, settings = tmp_path / "work" / "results", {"steps": 3, "batch": 4}

    model = smooseg.fit("images", 2, "smooseg", backbone="tiny", out="work", memory_gb=4, **settings)
    extracted, of_library = chunks(results), model.path.read_bytes()
    command = ["fit", "images", "--clusters", "2", "--head", "smooseg", "--backbone", "tiny", "--out", "work"]
    command += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    result = CliRunner().invoke(main, [*command, "--cores", "2", "--quiet"])
    assert result.exit_code == 0, result.output
    assert extracted and chunks(results) == extracted
    head = results / "experiments" / "smooseg" / "0" / HEAD
    assert head.read_bytes() == of_library
    said = (results / "logs" / "train_head" / "smooseg" / "0.log").read_text()
    assert "copied from" in said and "steps at" not in said

    shutil.rmtree(results / "library")
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    again = smooseg.fit("images", 2, "smooseg", backbone="tiny", out="work", **settings)
    assert again.path.read_bytes() == of_library
    assert before == {path: path.stat().st_mtime_ns for path in before}  # nothing of the workflow's was touched
