"""The page in a real browser: it plays, an edge is moved, and that is there again afterwards."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser import CHROMIUM, Page, opened
from tests.conftest import copy_project, environment
from tests.review.conftest import MODEL, Reviewed

from tad_blockdrop.review.journal import read_journal
from tad_blockdrop.review.loading import load_predictions
from tad_blockdrop.review.page import file_pages
from tad_blockdrop.review.predictions import Predictions
from tad_blockdrop.video.annotations import read_annotation_file, read_annotations

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on this machine")

# Until the page's script has run, ``desk`` is the element of that name.
READY = "typeof desk === 'object' && desk.screen?.element.readyState >= 2"
SAVED = "!desk.saving.unsaved && desk.video.entries.length"
TRUE = "[...desk.state.truth.values()].map((s) => [s.label, s.start, s.end])"


def reopen(page: Page, file: Path) -> None:
    """Open a page of predictions anew, where what it has kept in the browser is found again.

    It is put there once more: of a page that is left in the first second of a browser's life, a
    busy machine's browser may lose what was kept.
    """
    kept = page.value("[desk.saving.name, localStorage.getItem(desk.saving.name)]")
    page.send("Page.enable")
    script = f"localStorage.setItem(...{json.dumps(kept)})"
    page.send("Page.addScriptToEvaluateOnNewDocument", source=script)
    page.go(file.as_uri())
    page.until(READY)


@contextmanager
def reviewing(project: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``kedro review`` in a project: its address and its process, which is killed at the end."""
    command = ["review", "--experiment", "mine", "--who", "ann", "--no-browser"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kedro", *command],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment() | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    address = next(line.split()[1] for line in lines if line.startswith("Open http"))
    try:
        yield address, process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def write_page(predictions: Predictions, folder: Path) -> Path:
    """The one page of the predictions, as a file."""
    [text] = file_pages(predictions, folder).values()
    file = folder / "page.html"
    file.write_text(text)
    return file


def grip(page: Page, edge: str) -> tuple[float, float]:
    """Where the handle of the selected segment's edge is."""
    box = f"document.querySelector('.grip.{edge}').getBoundingClientRect()"
    x, y, width, height = page.value(f"((b) => [b.x, b.y, b.width, b.height])({box})")
    return x + width / 2, y + height / 2


def per_second(page: Page) -> float:
    return page.value("desk.timeline.inner.clientWidth / desk.video.duration")


def test_it_plays_and_what_is_corrected_is_there_again(reviewed: Reviewed, tmp_path: Path) -> None:
    copy_project(reviewed.folder)
    with (
        reviewing(reviewed.folder) as (address, _),
        opened(address, tmp_path / "browser", "--window-size=1300,1000") as page,
    ):
        page.until(READY)
        assert page.value("desk.video.id") == "good"  # the least sure one
        page.key(" ")
        page.until("desk.screen.second > 0.5")
        page.key(" ")
        page.until("!desk.screen.playing")

        page.key("n") if page.value("desk.screen.second") <= 1 else page.key("p")
        assert page.value("desk.item.segment.label") == "run"
        x, y = grip(page, "end")
        page.drag((x, y), (x + per_second(page), y))
        page.until(SAVED)
        moved = page.value(TRUE)
        assert ["swim", 4.5, 5.5] in moved
        [[_, start, end]] = [row for row in moved if row[0] == "run"]
        assert start == 1.0
        assert end == pytest.approx(3.5, abs=0.11)  # a frame

        page.key("n")
        page.key("Enter")
        page.until(f"{SAVED} === 2")
        assert ["jump", 3.0, 4.0] in page.value(TRUE)
        page.key("z", modifiers=2)
        page.until(f"{SAVED} === 1")
        assert page.value(TRUE) == moved

        page.go(address)
        page.until(READY)
        assert page.value(TRUE) == moved
    with (
        reviewing(reviewed.folder) as (address, _),  # the one before was killed
        opened(address, tmp_path / "browser") as page,
    ):
        page.until(READY)
        assert page.value(TRUE) == moved
    assert [entry.who for entry in read_journal(reviewed.journal)] == ["ann"] * 3


def test_every_correction_can_be_made_by_key(server, reviewed: Reviewed, tmp_path: Path) -> None:
    with opened(server.address, tmp_path / "browser") as page:
        page.until(READY)
        page.value("desk.screen.stand(0.3)")
        page.key("ArrowRight")
        assert page.value("desk.screen.second") == 0.4
        page.key("a")
        page.until(f"{SAVED} === 1")
        assert page.value(TRUE) == [["swim", 4.5, 5.5], ["swim", 0.4, 1.4]]
        page.value("desk.screen.stand(2)")
        page.key("o")
        page.until(f"{SAVED} === 2")
        page.value("desk.label.value = 'jump', desk.label.dispatchEvent(new Event('change'))")
        page.until(f"{SAVED} === 3")
        page.value("desk.screen.stand(1)")
        page.key("i")
        page.until(f"{SAVED} === 4")
        assert page.value(TRUE) == [["swim", 4.5, 5.5], ["jump", 1.0, 2.0]]
        assert page.value("[desk.start.value, desk.end.value]") == ["1", "2"]
        page.key("Delete")
        page.until(f"{SAVED} === 5")
        assert page.value("[desk.start.value, desk.end.value]") == ["", ""], "of what is gone"
        page.key("Enter", modifiers=8)
        page.until(f"{SAVED} === 6")
        assert page.value("desk.state.finished")
        assert len(page.value(TRUE)) == 3
        page.key("PageUp")
        assert page.value("desk.video.id") == "other"
    assert len(read_journal(reviewed.journal)) == 6


def test_what_the_server_refuses_is_told_and_what_it_has_is_shown(
    server, reviewed: Reviewed, tmp_path: Path
) -> None:
    with opened(server.address, tmp_path / "browser") as page:
        page.until(READY)
        page.key("n")
        # Another page of the same server is quicker.
        page.value(
            "fetch('corrections', {method: 'POST', headers: {'Content-Type': 'application/json'},"
            " body: JSON.stringify({video: desk.video.key, changes: [{kind: 'judge', truth: null,"
            " detection: stated(desk.item.segment)}]})}).then((answer) => answer.status)"
        )
        page.key("Enter")
        said = page.until("document.querySelector('#said.bad')?.textContent")
        assert "was judged before" in said
        assert page.value(TRUE) == [["swim", 4.5, 5.5]]
        server.stop()
        page.value("fetch('.').catch(() => 0).then(() => 0)")
        page.until("fetch('.').then(() => false).catch(() => true)")
        page.key("n")
        page.key("Enter")
        assert "Not saved, 1 waiting" in page.until(
            "desk.saving.unsaved && document.querySelector('#said.bad')?.textContent"
        )


def test_two_tabs_of_a_file_lose_no_correction(reviewed: Reviewed, tmp_path: Path) -> None:
    """The other tab is played here: it keeps its corrections in the same browser."""
    predictions, _ = load_predictions(reviewed.data, "mine")
    file = write_page(predictions, tmp_path)
    with opened(file.as_uri(), tmp_path / "browser") as page:
        page.until(READY)
        page.value(
            "const other = { ...desk.video, entries: [] };"
            "const tab = new InBrowser(desk.data, () => {});"
            "tab.load([other]);"
            "other.entries.push({ changes: [{ kind: 'edit', before: null,"
            " after: { label: 'run', start: 0, end: 0.5 } }] });"
            "tab.add(other, other.entries[0]);"
        )
        page.key("n")
        page.key("Enter")
        said = page.value("document.querySelector('#said.bad')?.textContent")
        assert "Not saved: this video was corrected in another tab" in said
        theirs = [["swim", 4.5, 5.5], ["run", 0, 0.5]]
        assert page.value(TRUE) == theirs
        page.key("n")
        page.key("Enter")  # now that this is known
        both = [*theirs, ["run", 1, 2.5]]
        assert page.value(TRUE) == both
        page.value("tab.undo(other, other.entries.pop())")
        assert page.value("other.entries.length") == 2
        reopen(page, file)
        assert page.value(TRUE) == both


def test_a_browser_that_keeps_no_more_loses_no_correction_before_the_download(
    reviewed: Reviewed, tmp_path: Path
) -> None:
    predictions, _ = load_predictions(reviewed.data, "mine")
    file = write_page(predictions, tmp_path)
    with opened(file.as_uri(), tmp_path / "browser") as page:
        page.until(READY)
        page.value("Storage.prototype.setItem = () => { throw new Error('full'); }, 0")
        for number in (1, 2):
            page.key("a")
            assert page.value("desk.saving.unsaved") == number
            page.value("desk.screen.stand(3)")
        page.key("PageUp")
        page.key("a")
        assert page.value("[...desk.kept().values()].map((v) => v.entries.length)") == [2, 1]


def test_a_page_from_a_file_plays_keeps_and_downloads(reviewed: Reviewed, tmp_path: Path) -> None:
    predictions, _ = load_predictions(reviewed.data, "mine")
    evil = "</script><b id=evil>__proto__"
    predictions.model["classes"].append(evil)
    predictions.model["thresholds"][evil] = 0.2
    predictions.detections.loc[0, "label"] = evil
    file = write_page(predictions, tmp_path)
    with opened(file.as_uri(), tmp_path / "browser") as page:
        page.until(READY)
        page.key(" ")
        page.until("desk.screen.second > 0.1")
        page.key("Enter", modifiers=8)  # accept the rest and finish
        reopen(page, file)
        assert page.value("desk.state.finished")
        assert not page.value("document.getElementById('evil')")
        for kind, script in (
            ("json", "asActivityNet(desk.kept(), desk.data)"),
            ("csv", "asCSV(desk.kept())"),
        ):
            saved = tmp_path / f"corrections.{kind}"
            saved.write_text(page.value(script), encoding="utf-8")
            rows = read_annotations(read_annotation_file(saved)).instances
            assert {tuple(row) for row in rows.itertuples(index=False)} == {
                ("v_good", evil, 1.0, 2.5), ("v_good", "jump", 3.0, 4.0),
                ("v_good", "swim", 4.5, 5.5),
            }  # fmt: skip
    assert (
        json.loads((tmp_path / "corrections.json").read_text())["corrections"]["model"]
        == (MODEL["weights"])
    )
