"""What ``pip install`` of the wheel gives: an environment and a folder that hold nothing else of the repository."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, write_images
from tests.support.project import TINY

PACKED = ("Snakefile", "config.yaml", "profiles", "workflow")  # below smooseg/shipped in the wheel
SOURCE = (*PACKED, "smooseg", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
NO_NETWORK = {"HF_ENDPOINT": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"}  # or the doctor would ask for weights


def contents(folder: Path, *below: str) -> dict[str, bytes]:
    """Every file at or below some paths in a folder."""
    files = [path for name in below for path in (folder / name, *(folder / name).rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Installation:
    """The wheel in a virtual environment of its own, which sees the packages of this one behind it."""

    def __init__(self, folder: Path):
        self.source, self.folder, environment = folder / "source", folder / "somewhere", folder / "environment"
        for path in (self.source, self.folder):
            path.mkdir()
        for name in SOURCE:  # a copy, for builds leave files behind
            copy = shutil.copy if (ROOT / name).is_file() else shutil.copytree
            how = {} if copy is shutil.copy else {"ignore": shutil.ignore_patterns("__pycache__")}
            copy(ROOT / name, self.source / name, **how)
        self.pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, self.source)
        (self.wheel,) = folder.glob("*.whl")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        self.python, self.smooseg = environment / "bin" / "python", environment / "bin" / "smooseg"
        self.pip("--python", self.python, "install", "--no-deps", "--no-index", self.wheel)
        (self.packages,) = environment.glob("lib/*/site-packages")
        (self.packages / "behind.pth").write_text(sysconfig.get_path("purelib"))

    @staticmethod
    def pip(*arguments: str | Path) -> None:
        subprocess.run([sys.executable, "-m", "pip", "--quiet", *map(str, arguments)], check=True)

    def run(self, *command: str | Path) -> str:
        """What a command says, all of it."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | NO_NETWORK
        said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        result = subprocess.run(command, cwd=self.folder, env=environment, **said)
        assert result.returncode == 0, result.stdout
        return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installed"))


def test_the_wheel_is_the_package_and_the_workflow_as_they_are_here(installed):
    with zipfile.ZipFile(installed.wheel) as wheel:
        held = {name: wheel.read(name) for name in wheel.namelist() if ".dist-info/" not in name}
    packed = {f"smooseg/shipped/{name}": content for name, content in contents(installed.source, *PACKED).items()}
    assert held == contents(installed.source, "smooseg") | packed


def test_every_listing_works_from_any_folder(installed):
    for command in ("heads", "datasets", "backbones", "experiments"):
        assert "\n" in installed.run(installed.smooseg, command)
    assert f"parts: workflow and catalogue at {installed.packages / 'smooseg'}" in installed.run(
        installed.smooseg, "doctor"
    )
    assert "make_demo" in installed.run(installed.smooseg, "workflow", "--", "--dry-run")


def test_fit_makes_masks(installed, tiny_checkpoint):
    write_images(installed.folder, "photos", 3)
    (installed.folder / "tiny.safetensors").write_bytes(tiny_checkpoint.read_bytes())
    (installed.folder / "config.yaml").write_text(yaml.safe_dump(TINY))
    options = ["--classes", "2", "--backbone", "tiny", "--out", "work", "--cores", "2"]
    installed.run(installed.smooseg, "fit", "images/photos", *options)
    assert len(list((installed.folder / "work" / "masks").glob("*.png"))) == 3


def test_the_workflow_is_a_module_of_somebody_elses(installed):
    theirs = installed.folder / "theirs"
    theirs.mkdir()
    (theirs / "Snakefile").write_text(
        "from smooseg.settings.shipped import shipped_path\n\n\n"
        'module smooseg:\n    snakefile:\n        str(shipped_path("Snakefile"))\n\n\n'
        "use rule * from smooseg as smooseg_*\n"
    )
    said = installed.run(
        installed.python, "-m", "snakemake", "--dry-run", "--directory", theirs, "-s", theirs / "Snakefile"
    )
    assert "smooseg_train_head" in said
