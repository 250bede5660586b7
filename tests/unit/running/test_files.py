"""What lies in a folder, and who works there: one run and its jobs, until their processes end."""

import os
import subprocess
import sys
from pathlib import Path

from smooseg.errors import SmoosegError
from smooseg.running.files import walk
from smooseg.running.fingerprint import states, tree_state


def test_the_state_of_a_tree_follows_every_file_of_it(tmp_path):
    tree, disk = tmp_path / "tree", tmp_path / "disk"
    for path in (tree / "a.png", tree / "b c" / "d.png", tree / "b" / "d.png", disk / "e" / "f.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    (tree / "linked").symlink_to(disk)
    (disk / "loop").symlink_to(tree)
    (tree / "dead.png").symlink_to(tmp_path / "nowhere")
    seen = [tree_state([str(tree), str(tree / "a.png")])]

    def changed() -> bool:
        """Whether the state is another one than before, and the same if asked again."""
        seen.append(tree_state([str(tree), str(tree / "a.png")]))
        assert tree_state([str(tree), str(tree / "a.png")]) == seen[-1]
        return seen[-1] not in seen[:-1]

    os.utime(tree / "b c" / "d.png", ns=(1, 1))  # the folder does not show it
    assert changed()
    (disk / "e" / "f.png").write_bytes(b"22")
    assert changed()
    (disk / "e" / "g.png").touch()
    assert changed()
    (tree / "b" / "d.png").rename(tree / "b" / "c.png")
    assert changed()
    (tree / "a.png").unlink()
    assert changed()
    (tree / "dead.png").unlink()
    assert not changed()


def test_files_are_found_in_the_same_order_everywhere(tmp_path):
    for name in ("b/x", "b c/x", "b-c/x", "a", "b/sub/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = [Path(name).relative_to(tmp_path).as_posix() for name, _, _ in states(tmp_path)]
    assert names == [path.relative_to(tmp_path).as_posix() for path in sorted(walk(tmp_path))]
    assert names == ["a", "b/sub/y", "b/x", "b c/x", "b-c/x"]


WORK = """
import os, sys
from pathlib import Path
from smooseg.running.files import FOLDER, share_folder
from smooseg.running.jobs import job
def work():
    print("at work", flush=True)
    sys.stdin.read()
if sys.argv[2] == "run":
    share_folder(Path(sys.argv[1]), begin=True)
    work()
else:
    os.environ[FOLDER] = sys.argv[1]
    with job(sys.argv[1] + "/log", 1):
        work()
"""


def work(folder, role: str) -> subprocess.Popen:
    """A process that works in a folder until it is killed; it may be refused."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", WORK, str(folder), role], text=True, **pipes)


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def test_a_run_begins_where_neither_a_run_nor_a_job_is_at_work(tmp_path):
    run, other = work(tmp_path / "results", "run"), work(tmp_path / "elsewhere", "run")
    assert run.stdout.readline() == other.stdout.readline() == "at work\n"
    job = work(tmp_path / "results", "job")
    assert job.stdout.readline() == "at work\n"
    for ended in (run, job):
        refused = work(tmp_path / "results", "run")
        _, said = refused.communicate()
        assert refused.returncode == 1
        assert f"{SmoosegError.__name__}: {tmp_path}/results: another run is at work here, or a job" in said
        kill(ended)
    again = work(tmp_path / "results", "run")
    assert again.stdout.readline() == "at work\n"
    kill(again)
    kill(other)
