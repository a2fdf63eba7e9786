"""What a browser shows of a page, once that is there: nothing here waits for a fixed time."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import websocket

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr", "--remote-debugging-port=0", "--window-size=390,900",
]  # fmt: skip
ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
NEVER = 600  # seconds after which a page is taken for one that never shows it


class NotThereError(RuntimeError):
    """The browser cannot do that now."""


class Page:
    """A page in a browser, by the DevTools protocol."""

    def __init__(self, address: str, log: Path) -> None:
        self._socket = websocket.create_connection(address, timeout=NEVER, suppress_origin=True)
        self._log, self._number = log, 0

    def send(self, method: str, **parameters: Any) -> Any:
        """What a command of the protocol answers."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != self._number:
            pass  # an event
        if "error" in answer:
            raise NotThereError(answer["error"]["message"])
        return answer["result"]

    def value(self, script: str) -> Any:
        """What an expression is on the page; its promise is awaited."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str) -> Any:
        """The value of an expression, once that is true."""

        def look() -> Any:
            try:
                return self.value(script)
            except NotThereError:  # the page is being exchanged for another
                return None

        return _wait(look, self._log)

    def html(self) -> str:
        """The page as it is now."""
        return self.value("document.documentElement?.outerHTML") or ""

    def go(self, address: str) -> None:
        """Open another page, or this one anew."""
        self.value("window.before = true")
        self.send("Page.navigate", url=address)
        self.until("!window.before && document.readyState === 'complete'")

    def key(self, name: str, modifiers: int = 0) -> None:
        """Press a key, as ``KeyboardEvent.key`` calls it. 1: Alt, 2: Ctrl, 8: Shift."""
        text = {"text": name} if len(name) == 1 and not modifiers & 3 else {}
        for kind in ("keyDown", "keyUp"):
            held = text if kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=name, modifiers=modifiers, **held)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at one place, let go at another (pixels); the same one: a click."""
        for kind, (x, y) in (
            ("mouseMoved", start), ("mousePressed", start), ("mouseMoved", end),
            ("mouseReleased", end),
        ):  # fmt: skip
            button = {} if kind == "mouseMoved" and (x, y) == start else {"button": "left"}
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, clickCount=1, **button)

    def close(self) -> None:
        """Talk no more to the browser."""
        self._socket.close()


@contextmanager
def opened(url: str, folder: Path, *options: str) -> Iterator[Page]:
    """The page at ``url`` in a browser of its own; nothing but this machine can be reached.

    ``folder``: for the browser's own files, with its log.
    """
    assert CHROMIUM is not None
    folder.mkdir(exist_ok=True)
    port, log = folder / "DevToolsActivePort", folder / "log"
    port.unlink(missing_ok=True)
    with log.open("w") as errors:
        command = [CHROMIUM, *OPTIONS, *options, ONLY_HERE, f"--user-data-dir={folder}", url]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
    try:
        address = _wait(lambda: port.exists() and port.read_text().partition("\n")[0], log)
        with urlopen(f"http://127.0.0.1:{address}/json/list") as pages:
            target = next(page for page in json.load(pages) if page["type"] == "page")
        page = Page(target["webSocketDebuggerUrl"], log)
        yield page
        page.close()
    finally:
        browser.kill()
        browser.wait()


def page_that(shows: Callable[[str], object], url: str, folder: Path) -> tuple[str, str]:
    """The HTML of the page at ``url`` as soon as it is one that ``shows`` accepts, and the log."""
    with opened(url, folder) as page:
        html = _wait(lambda: found if shows(found := page.html()) else "", folder / "log")
    return str(html), (folder / "log").read_text(errors="replace")


def _wait(look: Callable[[], Any], log: Path) -> Any:
    """What ``look`` sees, when it sees something."""
    end = time.monotonic() + NEVER
    while not (seen := look()):
        assert time.monotonic() < end, f"it never came: {log.read_text(errors='replace')[-2000:]}"
        time.sleep(0.1)
    return seen
