"""What a browser shows of a page, once that is there: nothing here waits for a fixed time."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
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


def page_that(shows: Callable[[str], object], url: str, folder: Path) -> tuple[str, str]:
    """The HTML of the page at ``url`` as soon as it is one that ``shows`` accepts, and the log.

    ``folder``: for the browser's own files. Nothing but this machine can be reached.
    """
    assert CHROMIUM is not None
    folder.mkdir(exist_ok=True)
    port, log = folder / "DevToolsActivePort", folder / "log"
    port.unlink(missing_ok=True)
    with log.open("w") as errors:
        command = [CHROMIUM, *OPTIONS, ONLY_HERE, f"--user-data-dir={folder}", url]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
    try:
        address = _wait(lambda: port.exists() and port.read_text().partition("\n")[0], log)
        with urlopen(f"http://127.0.0.1:{address}/json/list") as pages:
            target = next(page for page in json.load(pages) if page["type"] == "page")
        page = websocket.create_connection(target["webSocketDebuggerUrl"], suppress_origin=True)
        html = _wait(lambda: found if shows(found := _html(page)) else "", log)
        page.close()
    finally:
        browser.kill()
        browser.wait()
    return html, log.read_text(errors="replace")


def _html(page: websocket.WebSocket) -> str:
    expression = {"expression": "document.documentElement.outerHTML"}
    page.send(json.dumps({"id": 1, "method": "Runtime.evaluate", "params": expression}))
    return json.loads(page.recv())["result"]["result"].get("value", "")


def _wait(look: Callable[[], str | bool], log: Path) -> str:
    """What ``look`` sees, when it sees something."""
    end = time.monotonic() + NEVER
    while not (seen := look()):
        assert time.monotonic() < end, f"it never came: {log.read_text(errors='replace')[-2000:]}"
        time.sleep(0.1)
    return str(seen)
