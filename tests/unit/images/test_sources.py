"""Data sets from a git repository: whole or not at all, the right content, one sentence if it fails."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smooseg.errors import SmoosegError
from smooseg.images.sources import fetch_dataset, own_place
from smooseg.images.sources.repository import fetch_commit
from smooseg.running.progress import DEFAULTS
from tests.support.fetching import FILES, NOTHING, below, found, refusal, write_files
from tests.support.fetching import target as target  # a fixture
from tests.support.repositories import git, make_repository, serve


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    """A folder with the repository ``data.git`` in it, whose name is that of its working tree, too."""
    folder = tmp_path_factory.mktemp("origin")
    write_files(folder / "data.git", FILES | {".gitattributes": b"*.txt text eol=crlf\n*.png filter=lfs\n"})
    (folder / "data.git" / "set" / "link.png").symlink_to("/etc/passwd")
    (folder / "commit").write_text(make_repository(folder / "data.git"))
    return folder


@pytest.fixture
def source(origin) -> dict:
    commit = (origin / "commit").read_text()
    return NOTHING | {"git": f"file://{origin}/data.git", "commit": commit, "folder": "set"}


def test_the_folder_comes_alone_with_the_bytes_of_the_commit(source, target, caplog):
    """Neither the set's own line ends, nor its filters, nor its links are followed."""
    fetch_dataset("mine", source, target)
    assert found(target) == below("set")
    assert os.listdir(target.parent) == ["mine"]
    assert caplog.messages == ["mine: links of the repository are left out: set/link.png"]


def test_bars_stand_on_terminals_alone(source, target, capfd, monkeypatch):
    fetch_dataset("mine", source, target)
    assert "objects" not in capfd.readouterr().err
    monkeypatch.setitem(DEFAULTS, "disable", False)
    fetch_dataset("mine", source, target.with_name("other"))
    assert re.search(r"mine: (unpacking|receiving) objects \|.*\| 100 %, \d+ bytes", capfd.readouterr().err)


def test_a_dot_takes_the_whole_repository(source, target):
    fetch_dataset("mine", source | {"folder": "."}, target)
    assert {name: text for name, text in found(target).items() if name != ".gitattributes"} == FILES


@pytest.mark.parametrize("smart", [True, False], ids=["smart", "dumb"])
def test_servers_of_both_kinds(smart, origin, source, target, monkeypatch):
    """One that gives single objects, and one of plain files, which gives the whole repository alone."""
    git(origin / "data.git", "update-server-info")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(origin, smart) as address:
        fetch_dataset("mine", source | {"git": f"{address}/data.git/.git"}, target)
        assert found(target) == below("set")
        assert f"has no commit {'0' * 40}" in refusal(
            source | {"git": f"{address}/data.git/.git", "commit": "0" * 40}, target.with_name("other")
        )
        assert "is no repository that may be read" in refusal(
            source | {"git": f"{address}/nothing"}, target.with_name("other")
        )


def test_files_elsewhere_are_not_fetched(origin, source, target, tmp_path):
    """The contents of other folders stay with the server."""
    elsewhere = git(origin / "data.git", "rev-parse", f"{source['commit']}:other/large.bin")
    with own_place(target) as (place, lock):
        repository = fetch_commit("mine", source, place / "repository", lock)
        listed, _ = repository.run("rev-list", "--objects", "--missing=print", source["commit"])
    missing = [line for line in listed.split() if line.startswith("?")]
    assert f"?{elsewhere}" in missing
    assert len(missing) == 3  # with README.md and .gitattributes


def test_a_server_without_partial_clones(tmp_path, target):
    write_files(tmp_path / "plain")
    commit = make_repository(tmp_path / "plain", partial_clones=False)
    fetch_dataset("mine", NOTHING | {"git": f"file://{tmp_path}/plain", "commit": commit, "folder": "set"}, target)
    assert found(target) == below("set")


def test_variables_and_hooks_of_the_user_lead_nowhere(source, target, tmp_path, monkeypatch):
    """As in a hook of another repository, and with a template and filters that would run programs."""
    hook = tmp_path / "template" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    (tmp_path / "config").write_text(
        f"[init]\ntemplateDir = {tmp_path}/template\n[core]\nhooksPath = {hook.parent}\n"
        f'[filter "lfs"]\nsmudge = touch {tmp_path}/ran\nrequired = true\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    fetch_dataset("mine", source, target)
    assert found(target) == below("set")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"commit": "0" * 40}, r"file://\S+/data\.git has no commit 0{40}"),
        ({"folder": "sets"}, r"file://\S+/data\.git has no folder sets at commit \w{40}"),
        ({"folder": "README.md"}, r"file://\S+/data\.git has no folder README\.md at commit \w{40}"),
        ({"git": "file:///nowhere/data.git"}, r"file:///nowhere/data\.git is no repository that may be read \(.*\)"),
        (
            {"git": "http://127.0.0.1:9/data.git"},
            r"http://127\.0\.0\.1:9/data\.git cannot be reached \(Failed to connect .*\)",
        ),
        (
            {"git": "https://nowhere.invalid/a.git"},
            r"https://nowhere\.invalid/a\.git cannot be reached \(Could not resolve .*\)",
        ),
        ({"size": 1e12}, r"\S+ has \d+ MB free, and about 1e\+12 MB are needed"),
    ],
    ids=lambda value: next(iter(value.items())) if isinstance(value, dict) else None,
)
def test_what_git_cannot_fetch_is_one_sentence(change, sentence, source, target, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    said = refusal(source | change, target)
    assert re.fullmatch(sentence, said), said


def test_an_object_that_is_no_commit(origin, source, target):
    tree = git(origin / "data.git", "rev-parse", f"{source['commit']}^{{tree}}")
    assert refusal(source | {"commit": tree}, target).endswith(f"{tree} is a tree, not a commit")


def fake_git(folder: Path, script: str) -> str:
    """A PATH on which git is a script."""
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_no_git(source, target, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert refusal(source, target) == "git is not installed, or not on the PATH"


def test_a_disk_that_fills_while_git_writes(source, target, monkeypatch, tmp_path):
    script = f"""case "$*" in *checkout*) echo 'fatal: write error: No space left on device' >&2; exit 128;; esac
exec {shutil.which("git")} "$@" """
    monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", script))
    assert refusal(source, target) == "the disk is full"


def test_a_folder_that_is_there_stays(source, target):
    target.mkdir(parents=True)
    (target / "mine.txt").write_text("mine")
    fetch_dataset("mine", source, target)
    assert found(target) == {"mine.txt": b"mine"}


def test_two_fetches_do_not_meet(source, target):
    with own_place(target), pytest.raises(SmoosegError, match="another run is at work here"):
        fetch_dataset("mine", source, target)
    fetch_dataset("mine", source, target)
    assert found(target) == below("set")


FETCH = """
import sys
from pathlib import Path
from smooseg.errors import SmoosegError
from smooseg.images.sources import fetch_dataset
try:
    fetch_dataset("mine", eval(sys.argv[1]), Path(sys.argv[2]))
except SmoosegError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_fetch_leaves_nothing_that_counts(number, source, target, tmp_path):
    """While git is at work, which keeps the lock if it outlives us; the next fetch begins anew."""
    script = f"""case "$*" in *checkout*) touch {tmp_path}/begun; sleep 1.5; exit 1;; esac
exec {shutil.which("git")} "$@" """
    environment = os.environ | {"PATH": fake_git(tmp_path / "bin", script)}
    fetch = subprocess.Popen(
        [sys.executable, "-c", FETCH, repr(source), str(target)], env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    fetch.send_signal(number)
    _, said = fetch.communicate(timeout=30)
    assert fetch.returncode and not target.exists()
    if number == signal.SIGTERM:
        assert said.startswith("mine was not fetched: stopped by SIGTERM") and said.count("\n") == 1
        assert not target.parent.exists()
    else:
        assert (target.parent / ".mine.fetch").is_dir()
        with pytest.raises(SmoosegError, match="another run is at work here"):  # the git that it started
            fetch_dataset("mine", source, target)
        time.sleep(2)
    fetch_dataset("mine", source, target)
    assert found(target) == below("set")
    assert os.listdir(target.parent) == ["mine"]


def test_a_set_without_a_source(target):
    assert (
        refusal("a drawer", target) == f"mine has no source that can be fetched: put it at {target} by hand (a drawer)"
    )
