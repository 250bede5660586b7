"""The shell of Snakemake's commands: ``python -I -S warmshell.py FOLDER SCRIPTS BASH PYTHON -c COMMAND``.

A script of the workflow goes to a process that has the libraries loaded (:mod:`smooseg.running.warm`), any other
command to bash. This file is run by its path, for every job: it imports nothing that is slow.
"""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys

SCRIPT = re.compile(r"set -euo pipefail; +(\S+) (\S*/\.snakemake/scripts/tmp\w+\.(\w+)\.py)")
THREADS = "OMP_NUM_THREADS"  # of the job, set by Snakemake: libraries read it when they are loaded


def connect(folder: str, python: str) -> socket.socket | None:
    """A connection to the process for jobs of this many threads, which is started for the second of them."""
    place = os.path.join(folder, os.environ.get(THREADS, "1"))
    with open(place + ".lock", "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not lock.tell():  # one job alone is as fast by itself
            lock.write("1")
            return None
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(place)
        except OSError:
            start(place, python)
            peer.connect(place)
    return peer


def start(place: str, python: str) -> None:
    """Start a process that serves jobs at a socket; it ends after the process that we were started by."""
    if os.path.exists(place):
        os.unlink(place)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(64)
        command = [python, "-P", "-m", "smooseg.running.warm", str(listener.fileno()), str(os.getppid())]
        nowhere = subprocess.DEVNULL  # our own output may be a pipe that somebody reads to its end
        subprocess.Popen(command, pass_fds=[listener.fileno()], stdin=nowhere, stdout=nowhere, stderr=nowhere)


def run_there(peer: socket.socket, script: str) -> int:
    """Have a script run with our folder, environment and output; its exit status."""
    words = [os.getcwd(), script, *(f"{name}={value}" for name, value in os.environ.items())]
    told = b"\0".join(map(os.fsencode, words))
    status = b""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the script gets it, too, and says how it ended
    try:
        socket.send_fds(peer, [len(told).to_bytes(8, "big")], [1, 2])
        peer.sendall(told)
        status = peer.recv(16)
    except OSError:
        pass
    return int(status) if status else sys.exit("error: the process that was to run this script ended; run again")


def main(folder: str, scripts: str, bash: str, python: str, *arguments: str) -> None:
    """Run the command that Snakemake gives."""
    found = SCRIPT.fullmatch(arguments[-1])
    if found and found[1] == python and found[3] in scripts.split("|"):
        try:
            peer = connect(folder, python)
        except OSError:  # a full disk, no more processes: the job itself says what is wrong
            peer = None
        if peer:
            sys.exit(run_there(peer, found[2]))
    os.execv(bash, [bash, *arguments])


if __name__ == "__main__":
    main(*sys.argv[1:])
