"""``kedro review``: the pages on loopback, where each correction is saved as it is made.

Nothing leaves the machine, and nothing else is served than the pages and the videos that they show.
The address holds a token: other users and other pages of the browser do not know it. Requests by
another host name (DNS rebinding) or from another origin are refused.
"""

import json
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
)
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tad_blockdrop.review.corrections import Correction, Edit, Judge, Segment
from tad_blockdrop.review.journal import ConflictError, Journal, JournalError
from tad_blockdrop.review.page import (
    FIRST_PAGE,
    Place,
    ReviewPages,
    playable_file,
    stated_entries,
)
from tad_blockdrop.review.predictions import Predictions

LOOPBACK = "127.0.0.1"
LARGEST = 4 << 20  # bytes of a correction
TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Guard:
    """Lets only requests through that know the token and come from the pages themselves."""

    app: ASGIApp
    token: str
    hosts: frozenset[str]  # as browsers name the server, with its port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand the request on."""
        if scope["type"] != "http":  # start and end of the server; there are no web sockets
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = PlainTextResponse(refusal, 403) if refusal else self.app
        await answer(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        if headers.get("host") not in self.hosts:
            return "this server answers to its own address only"
        given = scope["path"].split("/")[1]
        if not secrets.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
            return "open the address that kedro review has printed: it holds a token"
        origin = headers.get("origin")
        own = {f"http://{host}" for host in self.hosts}
        if (origin or scope["method"] != "GET") and origin not in own:
            return "only the pages of this server may ask for this"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return "only the pages of this server may ask for this"
        return None


class Review:
    """An experiment under review: its pages, its videos, and the journal of corrections.

    ``copies``: the folder of the small copies of videos that browsers do not play.
    """

    def __init__(
        self, predictions: Predictions, version: str, copies: Path, journal: Journal
    ) -> None:
        self.pages, self.journal = ReviewPages(predictions), journal
        self._copies = copies
        read = predictions.videos[predictions.videos["problem"].isna()]
        self._rows = read.to_dict("records")
        numbers = {row["video_id"]: number for number, row in enumerate(self._rows)}
        self._videos = {predictions.key(video): video for video in numbers}
        self._known = predictions.truth
        self._durations = {row["video_id"]: float(row["duration"]) for row in self._rows}
        self._contents = {row["video_id"]: row.get("content") for row in self._rows}
        self._place = Place(
            lambda row: f"video/{numbers[row['video_id']]}",
            journal.of,
            {"served": True, "predictions": version},
        )

    async def page(self, request: Request) -> Response:
        """One of the pages, the first where none is named."""
        name = request.path_params.get("name", FIRST_PAGE)
        if name not in self.pages.names:
            return PlainTextResponse("there is no such page", 404)
        return HTMLResponse(self.pages.page(name, self._place))

    async def video(self, request: Request) -> Response:
        """A video, or the part of it that is asked for, by its number in the table of videos."""
        number = request.path_params["number"]
        file = playable_file(self._rows[number], self._copies) if number < len(self._rows) else None
        if file is None or not file.is_file():
            return PlainTextResponse("there is no such video, or it is not where it was", 404)
        return FileResponse(file, media_type=TYPES.get(file.suffix.lower(), "video/mp4"))

    async def correct(self, request: Request) -> Response:
        """Save one correction: 200 once it is on the disk, otherwise a sentence that says why."""
        if request.headers.get("content-type") != "application/json":
            return _told(415, "a correction is JSON")
        if not 0 < int(request.headers.get("content-length", 0)) <= LARGEST:
            return _told(413, f"a correction has a length, of at most {LARGEST >> 20} MiB")
        body = await request.body()
        video = _video_of(body)
        if video not in self._videos:
            return _told(404, "there is no such video in this experiment")
        return self._save(body, video)

    def _save(self, body: bytes, video: str) -> Response:
        try:
            correction = Correction.model_validate_json(body)
            self._refuse_outside(correction)
            content = self._contents[self._videos[video]]
            entry = self.journal.add(correction, self._annotated(video), content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            return self._refused(422, video, f"{where}: {first['msg']}".removeprefix(": "))
        except ConflictError as error:
            return self._refused(409, video, str(error))
        except JournalError as error:
            return _told(507, str(error))
        return JSONResponse({"number": entry.number})

    def _annotated(self, key: str) -> list[Segment] | None:
        known = self._known.get(self._videos[key])
        if known is None:
            return None
        return [
            Segment(label=label, start=start, end=end) for label, start, end in known["actions"]
        ]

    def _refuse_outside(self, correction: Correction) -> None:
        duration = self._durations[self._videos[correction.video]]
        for change in correction.changes:
            new = None
            if isinstance(change, Judge):
                new = change.truth
            elif isinstance(change, Edit):
                new = change.after
            if new is not None and new.start >= duration:
                raise ConflictError(f"{new} begins after the end of the video at {duration:.3f} s")

    def _refused(self, status: int, video: str, error: str) -> Response:
        """With the corrections of the video as they are, for a page that knows others."""
        entries = stated_entries(self.journal.of(video, self._contents[self._videos[video]]))
        return JSONResponse({"error": error, "entries": entries}, status)


def _told(status: int, error: str) -> Response:
    return JSONResponse({"error": error}, status)


def _video_of(body: bytes) -> str:
    """The video that a correction names, or ""."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    video = value.get("video") if isinstance(value, dict) else None
    return video if isinstance(video, str) else ""


def application(review: Review, token: str, port: int) -> ASGIApp:
    """The server's answers; all addresses begin with ``/<token>/``."""
    app = Starlette(
        routes=[
            Route("/{token}/", review.page, methods=["GET"]),
            Route("/{token}/video/{number:int}", review.video, methods=["GET"]),
            Route("/{token}/corrections", review.correct, methods=["POST"]),
            Route("/{token}/{name}", review.page, methods=["GET"]),
        ]
    )
    return Guard(app, token, frozenset({f"{LOOPBACK}:{port}", f"localhost:{port}"}))


@dataclass(frozen=True)
class Serving:
    """A server at its ``address``, which holds the token."""

    address: str
    server: uvicorn.Server
    listening: socket.socket

    def run(self) -> None:
        """Serve until interrupted or stopped."""
        self.server.run(sockets=[self.listening])

    def stop(self) -> None:
        """Let ``run``, in another thread, come to its end."""
        self.server.should_exit = True


def open_server(review: Review, port: int = 0) -> Serving:
    """A server for this machine only. ``port`` 0: any that is free.

    Raises OSError if the port is taken.
    """
    listening = socket.create_server((LOOPBACK, port))
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(24)
    config = uvicorn.Config(
        application(review, token, port),
        log_level="warning",
        access_log=False,  # its lines would hold the token
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    return Serving(f"http://{LOOPBACK}:{port}/{token}/", uvicorn.Server(config), listening)
