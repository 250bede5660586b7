"""Git repositories that tests make, and servers on the loopback that give them out."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "somebody"), ("EMAIL", "somebody@example.org"))
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; what it says."""
    command = ["git", "-c", "init.defaultBranch=main", "-c", "commit.gpgSign=false", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | AUTHOR, check=True, capture_output=True, text=True
    ).stdout.strip()


def make_repository(folder: Path, partial_clones: bool = True) -> str:
    """Make a repository of what lies in a folder; the commit, which is not the newest one.

    Args:
        folder: Its working tree.
        partial_clones: Whether a client may ask for some of the files.
    """
    git(folder, "init", "--quiet")
    git(folder, "config", "uploadpack.allowFilter", str(partial_clones).lower())
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "the data set")
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "later.txt").write_text("later")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "later")
    return commit


class Smart(BaseHTTPRequestHandler):
    """``git http-backend``, as a server of repositories runs it."""

    def __init__(self, root: Path, *arguments):
        self.root = root
        super().__init__(*arguments)

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        headers = {f"HTTP_{key.upper().replace('-', '_')}": value for key, value in self.headers.items()}
        length = int(self.headers.get("Content-Length") or 0)
        environment = (
            os.environ
            | headers
            | {
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REQUEST_METHOD": self.command,
                "PATH_INFO": split.path,
                "QUERY_STRING": split.query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
        )
        said = subprocess.run(
            ["git", "http-backend"], env=environment, input=self.rfile.read(length), capture_output=True
        ).stdout
        head, _, body = said.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for key, value in fields.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments) -> None:
        pass


class Plain(SimpleHTTPRequestHandler):
    """Files of a folder."""

    def log_message(self, *arguments) -> None:
        pass


@contextmanager
def serve(root: Path, smart: bool = False) -> Iterator[str]:
    """A server on the loopback for a folder; its address."""
    handler = partial(Smart, root) if smart else partial(Plain, directory=str(root))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
