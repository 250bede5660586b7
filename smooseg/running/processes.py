"""Another program, run to its end: whoever stops us stops it and all that it started."""

import os
import signal
import subprocess
import threading
from contextlib import suppress

from ..errors import SmoosegError

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, schedulers and service managers, a closed terminal


def run_attended(command: list[str], **options) -> tuple[int, str | None]:
    """Run a command as a session of its own, pass signals that stop us on to all of it, and wait for its end.

    The first signal asks every process of the session to end (SIGTERM), a second one kills them.

    Args:
        command: Program and arguments.
        options: Of :class:`subprocess.Popen`.

    Returns:
        The exit status, and what it said on standard output where that is a pipe.

    Raises:
        SmoosegError: If a signal stopped it.
    """
    received: list[int] = []
    started: list[subprocess.Popen] = []

    def pass_on(number: int | None = None, frame: object = None) -> None:
        received.extend([number] if number else [])
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM if len(received) < 2 else signal.SIGKILL)

    catches = threading.current_thread() is threading.main_thread()  # no other thread can
    before = {number: signal.signal(number, pass_on) for number in STOPS} if catches else {}
    try:
        started.append(subprocess.Popen(command, start_new_session=True, **options))
        if received:  # before it was there
            pass_on()
        said, _ = started[0].communicate()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        raise SmoosegError(
            f"stopped by {signal.Signals(received[0]).name}; finished work is kept, and the same command continues"
        )
    return started[0].returncode, said
