"""A copy of the workflow with a tiny data set and a tiny backbone, driven by real snakemake."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.conftest import ROOT, TINY_MODEL, write_images

UMASK = 0o002  # of a group that shares its files
TINY = {
    "run": "tiny",
    "data_root": "data",
    "runs": {"tiny": {"experiments": ["tiny_kmeans", "tiny_smooseg"], "seeds": [0]}},
    "experiments": {
        "tiny_kmeans": {"dataset": "tiny", "backbone": "tiny", "head": "kmeans", "settings": {"samples": 1000}},
        "tiny_smooseg": {
            "dataset": "tiny",
            "backbone": "tiny",
            "head": "smooseg",
            "settings": {"steps": 5, "batch": 4},
        },
    },
    "datasets": {
        "tiny": {
            "layout": "folder",
            "path": "tiny",
            "classes": ["up", "down"],
            "train": {"split": "train", "crops": "five", "size": 32},
            "eval": {"split": "val", "crops": "whole", "size": 64},
        }
    },
    "backbones": {
        "tiny": {
            "model": TINY_MODEL,
            "weights": {"source": "file", "path": "tiny.safetensors"},
            "block": 3,
            "norm": False,
        }
    },
}


class Project:
    """A copy of the workflow with a tiny data set, in a folder of its own."""

    def __init__(self, folder: Path, checkpoint: Path):
        self.folder = folder
        for name in ("Snakefile", "config.yaml", "workflow", "smooseg", "profiles"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        shutil.copy(checkpoint, folder / "tiny.safetensors")
        write_images(folder / "data" / "tiny", "train", 8)
        write_images(folder / "data" / "tiny", "val", 9, seed=1)

    def command(self, *arguments: str, **changes) -> dict:
        """Arguments for :mod:`subprocess` that run snakemake; ``changes`` are merged over the configuration."""
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
        (self.folder / "changes.yaml").write_text(yaml.safe_dump(changes))
        targets = [argument for argument in arguments if not argument.startswith("-")]
        options = [argument for argument in arguments if argument.startswith("-")]
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--cores=2",
            *options,  # which may say otherwise
            "--configfile",
            "tiny.yaml",
            "changes.yaml",
        ]
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        return {"args": [*command, "--", *targets], "cwd": self.folder, "env": environment, "umask": UMASK}

    def snakemake(self, *arguments: str, **changes) -> subprocess.CompletedProcess:
        """Run snakemake to its end."""
        return subprocess.run(**self.command(*arguments, **changes), capture_output=True, text=True)

    def planned(self, *targets: str, **changes) -> dict[str, int]:
        """Rules that a dry run would run, with their number of jobs."""
        result = self.snakemake("--dry-run", *targets, **changes)
        assert result.returncode == 0, result.stderr
        stats = re.search(r"Job stats:\n.*\n-.*\n((?:\w+ +\d+\n)+)total", result.stdout + result.stderr)
        return {} if stats is None else {name: int(n) for name, n in (line.split() for line in stats[1].splitlines())}

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / "smooseg" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
