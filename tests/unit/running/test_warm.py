"""Scripts that are forked from a process with loaded libraries: they run, fail, stop and end as those of their own process."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from smooseg.running import warm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS starts a process for each script")
NAMES = (
    "first",
    "second",
    "load",
    "learn",
    "facts",
    "stop",
    "kill",
    "raise",
    "long",
    "after",
    "x",
    "broken",
    "exits",
    "slow",
)
ASKER = """
import os, subprocess, sys
from smooseg.running.warm import warm_shell
shell = warm_shell(sys.argv[1:])
print(os.path.dirname(shell), flush=True)
for line in sys.stdin:
    command = "set -euo pipefail; " + line.strip()
    started = subprocess.Popen(command, shell=True, executable=shell, stdout=open("said", "a"), stderr=subprocess.STDOUT)
    print(started.pid, flush=True)
    print(started.wait(), flush=True)
"""


class Run:
    """What Snakemake is to the shell: a process that starts commands."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / ".snakemake" / "scripts").mkdir(parents=True)
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": folder}
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen([sys.executable, "-c", ASKER, *NAMES], env=environment, **options)
        self.shell = Path(self.process.stdout.readline().strip())

    def begin(self, command: str) -> int:
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def run(self, command: str) -> int:
        self.begin(command)
        return int(self.process.stdout.readline())

    def script(self, name: str, code: str) -> str:
        path = self.folder / ".snakemake" / "scripts" / f"tmp0.{name}.py"
        path.write_text(code, "utf-8")
        return f"{sys.executable} {path}"

    def said(self) -> list[str]:
        return (self.folder / "said").read_text("utf-8").splitlines()

    def servers(self) -> list[psutil.Process]:
        """Processes that serve this run, without those that they forked."""
        found = [
            p for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [""])[-1] == str(self.process.pid)
        ]
        forked = [child for process in found for child in process.children()]
        return [process for process in found if process not in forked]


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path)
    yield run
    run.process.stdin.close()
    run.process.wait()
    wait_until(lambda: not run.servers())


def wait_until(holds) -> None:
    """Wait up to ten seconds."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_second_script_of_a_run_starts_a_server_and_later_ones_find_libraries_loaded(run):
    command = run.script("load", "import sys\nprint('colorsys' in sys.modules, __name__)\nimport colorsys\n")
    assert [run.run(command) for _ in range(3)] == [0, 0, 0]
    assert run.said() == [
        "False __main__",
        "True __main__",
        "True __main__",
    ]  # what the script's text imports comes first
    assert len(run.servers()) == 1


def test_what_a_script_imported_on_its_way_is_loaded_for_the_next(run):
    code = "import sys, importlib\nprint('colorsys' in sys.modules)\nimportlib.import_module('colorsys')\n"
    command = run.script("learn", code)
    assert [run.run(command) for _ in range(4)] == [0, 0, 0, 0]
    assert run.said() == ["False", "False", "True", "True"]


def test_scripts_have_their_folder_environment_threads_and_random_numbers(run):
    run.run(run.script("first", ""))
    facts = (
        "os.getcwd(), sys.argv, sys.path[0], os.environ['OMP_NUM_THREADS'], os.environ.get('LEFT'), sys.stdin.read()"
    )
    code = (
        f"import os, random, sys\nprint({facts}, file=sys.stderr)\nprint(random.random())\nos.environ['LEFT'] = '1'\n"
    )
    command = run.script("facts", code)
    assert [run.run(command) for _ in range(2)] == [0, 0]
    first, number, second, other = run.said()
    script = command.split()[1]
    assert first == second == f"{run.folder} ['{script}'] {Path(script).parent} 1 None "
    assert not set(number.split()) & set(other.split())


def test_an_exit_code_and_an_error_reach_the_run_and_its_log(run):
    run.run(run.script("first", ""))
    assert run.run(run.script("stop", "import sys\nsys.exit('error: no such file')\n")) == 1
    assert run.run(run.script("kill", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")) == 137
    assert run.run(run.script("raise", "raise ValueError('defect')\n")) == 1
    said = run.said()
    assert said[0] == "error: no such file"
    assert said[-1] == "ValueError: defect"


ENDING = """
import atexit, builtins, sys, threading, time

class Kept:
    def __del__(self):
        print("taken apart")

builtins.kept = Kept()
atexit.register(print, "registered")
threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
sys.exit(CODE)
"""


def test_a_script_ends_with_its_threads_and_what_it_registered_and_is_not_taken_apart(run):
    run.run(run.script("first", ""))
    assert run.run(run.script("exits", ENDING.replace("CODE", "7"))) == 7
    assert run.run(run.script("exits", ENDING.replace("CODE", "None"))) == 0
    assert run.said() == ["thread", "registered"] * 2


def test_a_script_ends_with_whoever_waits_for_it(run):
    run.run(run.script("first", ""))
    client = run.begin(run.script("long", "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"))
    wait_until(lambda: (run.folder / "said").read_text())
    script = int(run.said()[0])
    assert psutil.pid_exists(script)
    os.kill(client, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(script))
    assert run.process.stdout.readline() == "-9\n"
    assert run.run(run.script("after", "")) == 0


def test_a_script_that_cannot_be_read_or_ends_while_it_imports_leaves_the_server_alone(run):
    (run.folder / ".snakemake/scripts/ends.py").write_text("import sys\nsys.exit(3)\n", "utf-8")
    run.run(run.script("first", ""))
    assert run.run(run.script("second", "")) == 0
    (server,) = run.servers()
    assert run.run(run.script("broken", "def f(:\n")) == 1
    assert run.run(run.script("exits", "import ends\n")) == 3
    assert run.run(run.script("after", "")) == 0
    assert run.servers() == [server]


def test_a_terminal_that_interrupts_lets_scripts_clean_up(run):
    run.run(run.script("first", ""))
    code = "import time\ntry:\n    print('on', flush=True)\n    time.sleep(60)\nfinally:\n    time.sleep(0.5)\n    print('off')\n"
    client = run.begin(run.script("slow", code))
    wait_until(lambda: "on" in (run.folder / "said").read_text())
    (server,) = run.servers()
    for process in [client, *(child.pid for child in server.children())]:
        os.kill(process, signal.SIGINT)  # as a terminal does to its group
    run.process.stdout.readline()
    assert "off" in run.said()


def test_scripts_end_with_a_server_that_is_killed(run):
    run.run(run.script("first", ""))
    run.begin(run.script("long", "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"))
    wait_until(lambda: (run.folder / "said").read_text())
    (server,) = run.servers()
    server.kill()
    assert run.process.stdout.readline() == "1\n"
    assert "run again" in run.said()[-1]
    wait_until(lambda: not psutil.pid_exists(int(run.said()[0])))
    assert run.run(run.script("after", "")) == 0


def test_a_killed_run_leaves_neither_server_nor_folder(run):
    run.run(run.script("first", ""))
    run.run(run.script("second", ""))
    (server,) = run.servers()
    run.process.kill()
    run.process.wait()
    wait_until(lambda: not server.is_running() and not run.shell.exists())


def test_other_commands_go_to_bash_which_is_strict(run):
    assert run.run("false | true") == 1
    assert run.run("echo $UNSET_VARIABLE") == 1
    assert run.run("[[ a == a ]] && echo yes") == 0
    assert run.said()[-1] == "yes"
    assert not run.servers()


def test_snakemake_starts_scripts_in_this_form(run):
    run.script("one", "")
    script = run.script("two", "import os, psutil\nprint(psutil.Process(os.getppid()).cmdline()[2:4])\n").split()[1]
    code = (
        "import sys; from snakemake.shell import shell; from smooseg.running.warm import warm_shell\n"
        "shell.executable(warm_shell(['two']))\n"
        "for _ in range(2): shell('{py_exec} {fname:q}', py_exec=sys.executable, fname=sys.argv[1])\n"
    )
    told = subprocess.run([sys.executable, "-c", code, script], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[1] == "['-m', 'smooseg.running.warm']"


def test_there_is_no_such_shell_where_processes_cannot_be_watched(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")
    assert warm.warm_shell(NAMES) is None


def test_there_is_no_such_shell_where_temporary_files_are_no_programs(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    assert warm.warm_shell(NAMES) is None
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as where they are mounted noexec
    assert warm.warm_shell(NAMES) is None


def test_a_socket_that_cannot_be_made_leaves_scripts_as_they_were(tmp_path):
    deep = tmp_path / ("deep" * 25)  # a socket's path has 107 characters at most
    deep.mkdir()
    environment = os.environ | {"TMPDIR": str(deep), "OMP_NUM_THREADS": "1"}
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen([sys.executable, "-c", ASKER, *NAMES], env=environment, **options) as process:
        script = tmp_path / ".snakemake" / "scripts" / "tmp0.x.py"
        script.parent.mkdir(parents=True)
        script.write_text("print('ran')", "utf-8")
        process.communicate(f"{sys.executable} {script}\n" * 3, timeout=60)
    assert (tmp_path / "said").read_text("utf-8").split() == ["ran"] * 3


def test_a_module_that_does_not_import_is_tried_once(monkeypatch):
    tried = []
    monkeypatch.setattr(warm.importlib, "import_module", lambda name: tried.append(name) or 1 / 0)
    known: set[str] = set()
    warm.load(["absent", "absent"], known)
    warm.load(["absent"], known)
    assert tried == ["absent"]
