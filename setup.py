"""Packs the workflow and the catalogue, which lie at the top of the repository, into the wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("Snakefile", "config.yaml", "profiles", "workflow")


class BuildWithWorkflow(build_py):
    """The package, and below smooseg/shipped what smooseg/settings/shipped.py looks for there."""

    def run(self):
        super().run()
        if self.editable_mode:  # it finds them where they lie
            return
        folder = Path(self.build_lib, "smooseg", "shipped")
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier build
        folder.mkdir()
        for name in SHIPPED:
            if Path(name).is_dir():
                shutil.copytree(name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(name, folder / name)


setup(cmdclass={"build_py": BuildWithWorkflow})
