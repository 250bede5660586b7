"""A model hub on the loopback that speaks the protocol of Hugging Face's, as far as downloads of a file need it.

``HEAD`` and ``GET`` of ``/OWNER/NAME/resolve/REVISION/FILE`` lead, as there, to a store of another host, which needs no
token and knows ranges. The store is the same server under its other name, ``localhost``. Sources: the documentation of
``huggingface_hub`` (``get_hf_file_metadata``, ``HfFileMetadata``) and of the hub's API.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from huggingface_hub import constants

from tests.support.published import shrink, tiny_file

COMMIT = "0123456789abcdef" * 2 + "01234567"
TOKEN = "hf_of_who_accepted_the_licence"
OTHER_TOKEN = "hf_of_somebody_else"


class Request(NamedTuple):
    """What a client asked."""

    method: str
    path: str
    authorization: str | None
    range: str | None


class Hub:
    """A hub that holds files, and misbehaves as tests say.

    Attributes:
        files: Content by ``OWNER/NAME/FILE``.
        sent: Content that the store sends in place of a file's, by the same name.
        gated: Repositories that need :data:`TOKEN`.
        breaks: Numbers of bytes after which the next answers of the store break off, one for each answer.
        status: Status of every answer of the hub, where it does not work.
        requests: What was asked so far.
        foreign: Whether the server is no hub: it gives no commit.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sent: dict[str, bytes] = {}
        self.gated: set[str] = set()
        self.breaks: list[int] = []
        self.status: int | None = None
        self.requests: list[Request] = []
        self.foreign = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.store = f"http://localhost:{self.server.server_port}"

    def __enter__(self) -> "Hub":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()

    def asked(self, method: str, part: str) -> list[Request]:
        """Requests of a method whose path holds a text."""
        return [request for request in self.requests if request.method == method and part in request.path]


class Handler(BaseHTTPRequestHandler):
    """One connection to a :class:`Hub`."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        """Nothing: pytest shows what fails."""

    def do_HEAD(self) -> None:
        self.respond()

    def do_GET(self) -> None:
        self.respond()

    def respond(self) -> None:
        """Answer, with a body if it is asked for."""
        headers = self.headers.get("Authorization"), self.headers.get("Range")
        self.hub.requests.append(Request(self.command, self.path, *headers))
        if self.path.startswith("/store/"):
            self.send_content(self.path.removeprefix("/store/"))
        elif self.hub.status is not None:
            self.answer(self.hub.status)
        elif self.path.startswith("/api/models/"):
            self.describe(self.path.removeprefix("/api/models/"))
        elif "/resolve/" in self.path:
            self.resolve(*self.path.strip("/").split("/resolve/"))
        else:
            self.answer(200)

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def refusal(self, repository: str) -> tuple[int, str, str] | None:
        """Status, code and message of a refusal; None where the client may read the repository."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in ("", TOKEN, OTHER_TOKEN):
            return 401, "", "Invalid credentials in Authorization header"
        if not any(name.startswith(f"{repository}/") for name in self.hub.files):
            return (404 if token else 401), "RepoNotFound", "Repository not found"
        if repository in self.hub.gated and token != TOKEN:
            return (403 if token else 401), "GatedRepo", f"Access to model {repository} is restricted."
        return None

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}))

    def resolve(self, repository: str, place: str) -> None:
        """Say where a file lies, and what it is."""
        name = f"{repository}/{place.split('/', 1)[1]}"
        commit = {} if self.hub.foreign else {"X-Repo-Commit": COMMIT}
        if problem := self.refusal(repository):
            return self.refuse(*problem)
        if name not in self.hub.files:
            return self.answer(404, commit | {"X-Error-Code": "EntryNotFound"})
        content = self.hub.files[name]
        facts = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        return self.answer(302, commit | facts | {"Location": f"{self.hub.store}/store/{name}"})

    def describe(self, repository: str) -> None:
        """The repository, as its API does."""
        if problem := self.refusal(repository):
            return self.refuse(*problem)
        names = [name.removeprefix(f"{repository}/") for name in self.hub.files if name.startswith(f"{repository}/")]
        said = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
        return self.answer(200, {"Content-Type": "application/json"}, json.dumps(said).encode())

    def send_content(self, name: str) -> None:
        """A file's bytes, all or a range; the connection breaks where a test said so."""
        content = self.hub.sent.get(name, self.hub.files[name])
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        if start >= len(content):
            return self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
        facts = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if asked else {}
        body = content[start:]
        facts |= {"Content-Length": str(len(body)), "Accept-Ranges": "bytes"}
        if self.command == "GET" and self.hub.breaks:
            body, self.close_connection = body[: self.hub.breaks.pop(0)], True
        return self.answer(206 if asked else 200, facts, body)


@contextmanager
def asked_hub(monkeypatch: pytest.MonkeyPatch, folder: Path, models: list[str]) -> Iterator[Hub]:
    """A hub with tiny networks under published names, which this process asks; its cache is empty, and no token is set.

    Args:
        monkeypatch: Sets what the client reads from its environment when it is imported.
        folder: Of the client's cache.
        models: timm's names.
    """
    with Hub() as hub:
        for name in models:
            shrink(monkeypatch, name)
            hub.files[f"timm/{name}/model.safetensors"] = tiny_file(name)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
        changes = {"HUGGINGFACE_CO_URL_TEMPLATE": template, "ENDPOINT": hub.url, "HF_HUB_OFFLINE": False}
        changes |= {"HF_HUB_CACHE": str(folder / "cache"), "HF_TOKEN_PATH": str(folder / "token")}
        for name, value in changes.items():
            monkeypatch.setattr(constants, name, value)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        yield hub
