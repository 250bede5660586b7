"""The git command in a repository of ours: nothing of the user's runs, nobody is asked, and its progress is a bar."""

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

from ...errors import SmoosegError
from ...running.processes import run_attended
from ...running.progress import progress

SETTINGS = {  # over those of the user, whose proxies and certificates count
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.symlinks": "false",  # a link comes as a text file, which is removed
    "core.autocrlf": "false",
    "fetch.negotiationAlgorithm": "noop",  # nothing is there that the server could build on
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
    "safe.directory": "*",
    "http.lowSpeedLimit": "1000",  # bytes a second, for a minute: then the connection is given up
    "http.lowSpeedTime": "60",
}
AS_COMMITTED = (
    "* -text -filter -ident -working-tree-encoding\n"  # no filter runs, LFS included, and no line end changes
)
ENVIRONMENT = {
    "LC_ALL": "C",  # messages are read
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
ELSEWHERE = (  # variables that lead git to another repository, as in a hook
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
    *("GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_TEMPLATE_DIR", "GIT_ATTR_SOURCE"),
)
STAGE = re.compile(
    r"(?:remote: )?([A-Z][a-z]+ (?:objects|deltas|files)): +(\d+)%(?: \(\d+/\d+\))?(?:, (.*?))??(?:, done\.)?$"
)
BAR = "{desc} |{bar}| {n:.0f} %{postfix}"


class GitError(Exception):
    """What git said when it failed."""


class Repository:
    """A repository in a folder of ours, and git at work in it.

    Args:
        folder: Emptied, if it is there.
        lock: Open file that git keeps open.
        name: Of the data set, beside the progress bar.
    """

    def __init__(self, folder: Path, lock: int, name: str):
        self.folder, self.lock, self.name = folder, lock, name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.run("init", "--quiet", "--template=")
        (folder / ".git" / "info").mkdir(exist_ok=True)
        self.write("attributes", AS_COMMITTED)

    def write(self, name: str, text: str) -> Path:
        """Write a file of ``.git/info``."""
        path = self.folder / ".git" / "info" / name
        path.write_text(text, "utf-8")
        return path

    def run(self, *arguments: str, stdin: Path | None = None) -> tuple[str, str]:
        """Run git; what it said on standard output and on standard error.

        Raises:
            SmoosegError: If there is no git, or a signal stopped it.
            GitError: If it failed.
        """
        settings = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
        environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE} | ENVIRONMENT
        environment.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        reading, writing = os.pipe()
        listener = Listener(reading, self.name)
        listener.start()
        try:
            with open(stdin or os.devnull, "rb") as given:
                status, said = run_attended(
                    ["git", *settings, *arguments],
                    cwd=self.folder,
                    env=environment,
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=writing,
                    pass_fds=(self.lock,),
                    encoding="utf-8",
                    errors="surrogateescape",
                )
        except FileNotFoundError:
            raise SmoosegError("git is not installed, or not on the PATH") from None
        finally:
            os.close(writing)
            listener.join()
        if status:
            raise GitError("\n".join(listener.lines) or f"git ended with status {status}")
        return said or "", "\n".join(listener.lines)


class Listener(threading.Thread):
    """Reads what git says on standard error: its progress becomes a bar, the rest is kept."""

    def __init__(self, opened: int, name: str):
        super().__init__(daemon=True)
        self.opened, self.title, self.lines = opened, name, list[str]()

    def run(self) -> None:
        bar = None
        with open(self.opened, encoding="utf-8", errors="replace") as pipe:
            for line in map(str.strip, pipe):  # a carriage return ends a line, too
                if stage := STAGE.match(line):
                    bar = bar if bar is not None else progress(total=100, desc=self.title, bar_format=BAR, leave=False)
                    bar.set_description_str(f"{self.title}: {stage[1].lower()}", refresh=False)
                    bar.set_postfix_str(stage[3] or "", refresh=False)
                    bar.n = int(stage[2])
                    bar.refresh()
                elif line:
                    self.lines.append(line)
        if bar is not None:
            bar.close()
