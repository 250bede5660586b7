"""A process that has the libraries loaded, and from which the workflow's scripts are forked: a start costs no import.

Snakemake starts a Python process for each job, and most of a short job is imports (docs/develop/starts.md). Here, the
shell that Snakemake starts is ours (:mod:`smooseg.running.warmshell`). It hands a script to a server that forks for it.
What one script imported, the server imports before the next fork. Every job still has a process, memory and random
numbers of its own.
"""

import ast
import atexit
import ctypes
import gc
import importlib
import os
import random
import runpy
import select
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from . import warmshell

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG: a script whose server was killed has nobody who waits for it


class Request(NamedTuple):
    """A script that a client wants to be run: where, with which environment, and where its output goes."""

    client: socket.socket
    script: str
    folder: str
    environment: dict[str, str]
    output: list[int]


class Job(NamedTuple):
    """A process that was forked for a script: its id, files that tell its end and its imports, and its client."""

    process: int
    end: int
    client: socket.socket
    imports: int


class Ending:
    """The last thing that a process does: it leaves its memory to the system. Python needs 0.4 s to free torch."""

    code = 0

    def leave(self) -> None:
        """End the process, when its threads have ended and all that was registered for the exit has run."""
        for stream in sys.stdout, sys.stderr:
            with suppress(OSError):
                stream.flush()
        os._exit(self.code)


def warm_shell(scripts: Iterable[str]) -> str | None:
    """Write the shell for ``shell.executable`` of this Snakemake.

    Args:
        scripts: Names of the scripts that are forked for, without ``.py``; other commands go to bash.

    Returns:
        Its path. None where there is no such help: on macOS, whose libraries do not survive a fork, on Linux before
        5.3, without bash, and where the folder of temporary files takes no program.
    """
    if not (bash := shutil.which("bash")):
        return None
    try:
        os.close(os.pidfd_open(os.getpid()))
        folder = Path(tempfile.mkdtemp(prefix="smooseg-shell-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        shell = folder / "bash"  # a name that tells Snakemake to be strict, as with bash
        words = [sys.executable, "-I", "-S", warmshell.__file__, str(folder), "|".join(scripts), bash, sys.executable]
        shell.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', "utf-8")
        shell.chmod(0o700)
    except (AttributeError, OSError):
        return None
    return str(shell) if os.access(shell, os.X_OK) else None


def serve(listener: socket.socket, run: int) -> Request | None:
    """Fork for every script that is asked for, until the run's process is gone and no script is left.

    Args:
        listener: Where clients connect.
        run: Id of the Snakemake process.

    Returns:
        In a process that was forked for it, the script to run; None in the server.
    """
    jobs: list[Job] = []
    known: set[str] = set()
    ended = os.pidfd_open(run)
    watched: set = {listener, ended}
    while jobs or ended in watched:
        ready, _, _ = select.select(watched, [], [])
        watched.discard(ended if ended in ready else None)
        for job in list(jobs):
            if job.end in ready:
                load(settle(job), known)
                watched -= {job.end, job.client}
                jobs.remove(job)
            elif job.client in ready:  # it was stopped, and with it goes its script
                os.kill(job.process, signal.SIGTERM)
                watched.discard(job.client)
        if listener in ready:
            client, _ = listener.accept()
            try:
                request = receive(client)
                load(imports_of(request.script), known)
                begun = fork(request)
            except (OSError, ValueError, SyntaxError):  # it was stopped, or no process can be made: it says so
                client.close()
                continue
            if begun is None:
                return request
            jobs.append(begun)
            watched |= {begun.end, begun.client}
    return None


def receive(client: socket.socket) -> Request:
    """What a client wants.

    Raises:
        ValueError: If it was stopped meanwhile.
    """
    size, output, _, _ = socket.recv_fds(client, 8, 2)
    told = client.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL) if size else b""
    folder, script, *environment = (os.fsdecode(word) for word in told.split(b"\0"))
    return Request(client, script, folder, dict(word.split("=", 1) for word in environment), output)


def imports_of(script: str) -> list[str]:
    """Modules that a script imports before its work begins."""
    body = ast.parse(Path(script).read_bytes()).body
    found = [node.module for node in body if isinstance(node, ast.ImportFrom) and node.module]
    return found + [name.name for node in body if isinstance(node, ast.Import) for name in node.names]


def load(names: list[str], known: set[str]) -> None:
    """Import modules, as far as that goes without their script.

    Args:
        names: Of the modules.
        known: Those that were imported, or could not be; these are added.
    """
    new = [name for name in dict.fromkeys(names) if name not in known]
    known.update(new)
    for name in new:
        with suppress(Exception, SystemExit):  # a script that cannot do without says so itself
            importlib.import_module(name)
    if new:
        gc.collect()
        gc.freeze()  # collections in forked processes leave the shared memory alone


def fork(request: Request) -> Job | None:
    """Fork for a script.

    Returns:
        The process; None in that process, which is ready for the script then.
    """
    imports = os.memfd_create("imports")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of other threads: BLAS has some, which survive a fork
        process = os.fork()
    if not process:
        become(request, imports)
        return None
    for file in request.output:
        os.close(file)
    return Job(process, os.pidfd_open(process), request.client, imports)


def become(request: Request, imports: int) -> None:
    """Make this process what a new one for a script would be."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGTERM, 0, 0, 0)
    request.client.close()
    before = set(sys.modules)
    atexit.register(lambda: os.write(imports, "\n".join(name for name in sys.modules if name not in before).encode()))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for file, target in zip(request.output, (1, 2), strict=True):
        os.dup2(file, target)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (for as long as the process)
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    sys.path.insert(0, str(Path(request.script).parent))
    tempfile.tempdir = None  # found again, in this environment
    random.seed()
    if numpy := sys.modules.get("numpy.random"):
        numpy.seed()


def settle(job: Job) -> list[str]:
    """Tell the client how its script ended; the modules that the script imported."""
    _, status = os.waitpid(job.process, 0)
    code = os.waitstatus_to_exitcode(status)
    with suppress(OSError), job.client:  # it may have been stopped
        job.client.sendall(str(code if code >= 0 else 128 - code).encode())
    os.close(job.end)
    os.lseek(job.imports, 0, os.SEEK_SET)
    with open(job.imports, encoding="utf-8") as file:
        return file.read().split()


def run_script(script: str, end: Ending) -> None:
    """Run a script as Python would, and remember with which code that ends."""
    sys.argv[:] = [script]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stop:
        end.code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        raise
    except KeyboardInterrupt:
        end.code = 128 + signal.SIGINT
        raise
    except BaseException:
        end.code = 1
        raise


if __name__ == "__main__":
    ending = Ending()
    atexit.register(ending.leave)  # before any library registers something: the first is called last
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # scripts get theirs
    listening = socket.socket(fileno=int(sys.argv[1]))
    place = Path(listening.getsockname()).parent
    if wanted := serve(listening, int(sys.argv[2])):
        listening.close()
        run_script(wanted.script, ending)
    else:
        shutil.rmtree(place, ignore_errors=True)  # after kill -9 of the run, nobody else does
