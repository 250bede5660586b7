"""A headless Chromium, driven through its debugging pipe: what a page looks like to a reader."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
OPTIONS += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"]
SECONDS = 60  # that an answer may take
LOOK = """(() => {
  document.querySelectorAll("details").forEach(d => d.open = true);
  return Promise.all([...document.images].map(i => i.decode().catch(() => 0))).then(() => ({
    broken_images: [...document.images].filter(i => !i.naturalWidth).map(i => i.alt || i.src.slice(0, 80)),
    images: document.images.length,
    tables: [...document.querySelectorAll("table")].map(t => [...t.rows].map(r => r.cells.length)),
    page_width: document.documentElement.scrollWidth,
    colour: getComputedStyle(document.body).color,
    background: getComputedStyle(document.body).backgroundColor,
  }));
})()"""


class Browser:
    """One window; commands and events of the Chrome DevTools protocol."""

    def __enter__(self) -> "Browser":
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self.out = os.pipe()
        self.into, theirs_out = os.pipe()
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={self.profile.name}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

        def connect() -> None:
            os.dup2(theirs_in, 3)  # where the protocol says its pipes are; theirs_in is the lowest of the four
            os.dup2(theirs_out, 4)

        self.process = subprocess.Popen(command, preexec_fn=connect, pass_fds=(3, 4), **quiet)
        os.close(theirs_in)
        os.close(theirs_out)
        self.number, self.rest, self.events, self.session = 0, b"", [], {}
        page = next(t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(self, *error) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.into)
        self.profile.cleanup()

    def receive(self) -> dict:
        """The next message."""
        while b"\0" not in self.rest:
            part = os.read(self.into, 1 << 16)
            if not part:
                raise RuntimeError("the browser ended")
            self.rest += part
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method: str, **parameters) -> dict:
        """Send a command and wait for its result; events on the way are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters} | self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def look(self, page: Path, *, width: int, dark: bool, picture: Path | None = None) -> dict:
        """What a reader of a page gets: :data:`LOOK`, and what the page complained of or asked of a network."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=scheme)
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600)
        self.events.clear()
        self.ask("Page.navigate", url=page.absolute().as_uri())
        deadline = time.monotonic() + SECONDS
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())
            assert time.monotonic() < deadline, "the page does not load"
        seen = self.ask("Runtime.evaluate", expression=LOOK, awaitPromise=True, returnByValue=True)["result"]["value"]
        if picture is not None:
            shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True, format="png")
            picture.write_bytes(base64.b64decode(shot["data"]))
        return seen | {
            "window_width": width,
            "complaints": [told for event in self.events if (told := complaint(event))],
        }


def complaint(event: dict) -> str | None:
    """What an event says is wrong: a console error, an exception, a failed load, or any request beyond the file."""
    about = event.get("params", {})
    if event["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
        return f"console: {about['args'][0].get('value')}"
    if event["method"] == "Runtime.exceptionThrown":
        return f"exception: {about['exceptionDetails']['text']}"
    if event["method"] == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
        return f"log: {about['entry']['text']}"
    if event["method"] == "Network.loadingFailed":
        return f"failed: {about['errorText']}"
    if event["method"] == "Network.requestWillBeSent" and not about["request"]["url"].startswith(("file:", "data:")):
        return f"network: {about['request']['url']}"
    return None


def problems(seen: dict) -> list[str]:
    """What a reader would stumble over."""
    found = [*seen["complaints"], *(f"image does not load: {name}" for name in seen["broken_images"])]
    for rows in seen["tables"]:
        if len(rows) < 2 or len(set(rows)) > 1:
            found.append(f"a table has rows of {rows} cells")
    if seen["page_width"] > seen["window_width"]:
        found.append(f"the page is {seen['page_width']} px wide in a window of {seen['window_width']}")
    return found
