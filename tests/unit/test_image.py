"""What the Dockerfile says fits the rest of the repository. Nothing here builds the image."""

import getpass
import os
import re
import tomllib

import pytest
import yaml

from tests.conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
PROFILES = sorted((ROOT / "workflow" / "profiles").glob("*/config.yaml"))


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_image_has_what_submits_to_kubernetes():
    (extras,) = re.findall(r"/opt/smooseg\[([\w,]+)\]", DOCKERFILE)
    known = project()["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)
    needed = yaml.safe_load((ROOT / "workflow/profiles/kubernetes/config.yaml").read_text("utf-8"))["executor"]
    assert any(needed in package for extra in extras.split(",") for package in known[extra])


def test_the_image_gets_all_that_the_package_is_built_from():
    ignored, *lines = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert ignored == "*"
    shipped = re.search(r"SHIPPED = \((.*)\)", (ROOT / "setup.py").read_text("utf-8"))[1]
    needed = {"smooseg", "setup.py", "pyproject.toml", "MANIFEST.in", project()["readme"], *project()["license-files"]}
    assert needed | set(re.findall(r'"([\w.]+)"', shipped)) <= {line.removeprefix("!") for line in lines}


def test_a_user_id_without_a_name_gets_one(monkeypatch):
    # snakemake asks for the user's name, and ends with a KeyError where a container's user id has none
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    for line in re.findall(r"^ENV (.*)", DOCKERFILE, re.MULTILINE):
        for name, value in re.findall(r"(\w+)=(\S+)", line):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert getpass.getuser() == "smooseg"


@pytest.mark.parametrize("path", PROFILES, ids=[path.parent.name for path in PROFILES])
def test_no_profile_leaves_a_lock_behind(path):
    assert yaml.safe_load(path.read_text("utf-8"))["nolock"] is True
