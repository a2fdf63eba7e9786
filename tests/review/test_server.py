"""The review server gives the pages and videos of its experiment to those who know the token."""

import http.client
import json
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from tests.review.conftest import running

from tad_blockdrop.review.journal import open_journal
from tad_blockdrop.review.loading import load_predictions
from tad_blockdrop.review.server import Review, open_server

EVIL = "http://evil.example"


class Client:
    """Requests as a browser sends them, or as nobody should."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.host, self.root = parts.netloc, parts.path

    def ask(self, method, path, body=None, **headers):
        """Status, headers and body; ``path`` as it goes over the wire, headers with _ for -."""
        connection = http.client.HTTPConnection(self.host)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), content

    def get(self, path="", **headers):
        return self.ask("GET", self.root + path, **headers)

    def correct(self, correction, **headers):
        body = correction if isinstance(correction, bytes) else json.dumps(correction).encode()
        own = {"Origin": f"http://{self.host}", "Content_Type": "application/json"} | headers
        status, _, content = self.ask("POST", f"{self.root}corrections", body, **own)
        return status, content.decode()


@pytest.fixture
def client(server):
    return Client(server.address)


def segment(label, start, end):
    return {"label": label, "start": start, "end": end}


def add(label, start, end, video="v_good"):
    change = {"kind": "edit", "before": None, "after": segment(label, start, end)}
    return {"video": video, "changes": [change]}


def numbers(reviewed):
    lines = reviewed.journal.read_bytes().splitlines() if reviewed.journal.exists() else []
    return [json.loads(line[65:])["number"] for line in lines]


def test_a_page_and_parts_of_a_video_are_served(client, reviewed):
    status, headers, page = client.get()
    assert status == 200
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert b'"source":"video/0"' in page
    assert b"connect-src &#39;self&#39;" in page
    whole = (reviewed.videos / "good.mp4").read_bytes()
    status, headers, part = client.get("video/0", Range="bytes=100-299")
    assert (status, part) == (206, whole[100:300])
    assert headers["content-range"] == f"bytes 100-299/{len(whole)}"
    assert headers["content-type"] == "video/mp4"


def test_only_those_who_know_the_token_are_answered(client):
    for path in ("/", "/wrong/", f"{client.root[:-2]}/", f"/x{client.root}", "/%E9/video/0"):
        status, _, content = client.ask("GET", path)
        assert status == 403, path
        assert b"token" in content


def test_other_hosts_and_origins_are_refused(client, reviewed):
    assert client.get(Host="evil.example")[0] == 403
    assert client.get(Host="127.0.0.1")[0] == 403  # another port
    assert client.get(Origin=EVIL)[0] == 403
    assert client.get("video/0", Sec_Fetch_Site="cross-site")[0] == 403
    for origin in (EVIL, "null", f"https://{client.host}", f"http://{client.host}.evil.example"):
        assert client.correct(add("run", 1, 2), Origin=origin)[0] == 403, origin
    assert client.ask("POST", f"{client.root}corrections", b"{}")[0] == 403  # says no origin
    assert numbers(reviewed) == []


@pytest.mark.parametrize(
    "path",
    [
        "video/2", "video/-1", "video/99999999999999999999", "video/good", "video/../../x",
        "../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd",
        "video/0/../../../etc/passwd", "predictions.csv", "predictions_2.html", "video//etc/passwd",
    ],
)  # fmt: skip
def test_nothing_else_is_served(client, path):
    status, _, content = client.get(path)
    assert status in (403, 404)
    assert b"root:" not in content


def test_a_video_that_is_gone_is_not_found(client, reviewed):
    (reviewed.videos / "other.mp4").unlink()
    assert client.get("video/1")[0] == 404


def test_corrections_are_on_the_disk_once_they_are_confirmed(client, reviewed):
    assert client.correct(add("run", 0.5, 1)) == (200, '{"number":1}')
    assert client.correct(add("run", 2, 3, "other")) == (200, '{"number":2}')
    assert client.correct({"video": "v_good", "undoes": 1}) == (200, '{"number":3}')
    assert numbers(reviewed) == [1, 2, 3]
    assert b'"after":{"label":"run","start":2.0,"end":3.0}' in client.get()[2]


def test_corrections_of_another_video_of_that_id_are_not_shown(reviewed):
    predictions, version = load_predictions(reviewed.data, "mine")

    def seen(content, correction=None):
        now = replace(predictions, videos=predictions.videos.assign(content=content))
        with open_journal(reviewed.journal, "ann", "", version) as journal:
            review = Review(now, version, reviewed.folder, journal)
            with running(open_server(review)) as address:
                if correction:
                    assert Client(address).correct(correction)[0] == 200
                return b'"start":2.0,"end":3.25' in Client(address).get()[2]

    assert seen("a" * 64, add("run", 2, 3.25, "other"))
    assert not seen("b" * 64)
    assert seen("a" * 64)


def test_a_correction_that_does_not_fit_is_told_with_what_is_there(client, reviewed):
    client.correct(add("run", 0.5, 1))
    status, said = client.correct(add("run", 0.5, 1))
    assert status == 409
    assert "there is 'run' from 0.5 to 1 s already" in json.loads(said)["error"]
    assert [entry["number"] for entry in json.loads(said)["entries"]] == [1]
    assert "after the end of the video" in client.correct(add("run", 6.0, 7.0))[1]
    assert "no correction 7" in client.correct({"video": "v_good", "undoes": 7})[1]
    assert numbers(reviewed) == [1]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (add("run", 2, 1), 422),
        (add("run", -1, 1), 422),
        (add("", 1, 2), 422),
        (add("\ud800", 1, 2), 422),
        (add("x" * 2000, 1, 2), 422),
        (b'{"video": "v_good", "changes": [{"kind": "finish", "finished": 1e999}]}', 422),
        (b'{"video": "v_good"}', 422),
        (b'{"video": "v_good", "undoes": 1, "who": "eve"}', 422),
        (add("run", 1, 2, "good"), 404),  # known by its id in the annotations
        (add("run", 1, 2, "../../good"), 404),
        (b"[" * 100_000, 404),
        (b"\xff", 404),
        (b"", 413),
    ],
)
def test_what_is_no_correction_is_refused(client, reviewed, body, status):
    assert client.correct(body)[0] == status
    assert numbers(reviewed) == []


def test_forms_of_other_pages_and_huge_bodies_are_refused(client, reviewed):
    assert client.correct(add("run", 1, 2), Content_Type="text/plain")[0] == 415
    assert client.correct(b"x", Content_Length=str(1 << 40))[0] == 413
    assert numbers(reviewed) == []
