"""kedro-viz: its static site is built from a finished project and looked at in a browser."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, page_that

from tests.conftest import environment

pytest.importorskip("kedro_viz", reason="kedro-viz is not installed: needs the extra 'viz'")


@pytest.fixture(scope="module")
def site(finished_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the static site, as ``kedro viz build`` makes it."""
    folder = tmp_path_factory.mktemp("viz") / "project"
    shutil.copytree(finished_project, folder)
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "viz", "build", "--include-previews"],
        cwd=folder, env=environment() | {"KEDRO_ENV": "smoke"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "circular" not in done.stdout + done.stderr, "layers of a cycle are not shown"
    return folder / "build"


def api(site: Path, path: str) -> dict[str, Any]:
    """What the site's own scripts read."""
    return json.loads((site / "api" / path).read_text(encoding="utf-8"))


def node_id(site: Path, name: str) -> str:
    return next(
        node["id"] for node in api(site, "pipelines/compress")["nodes"] if node["name"] == name
    )


def test_layers_follow_the_job(site: Path) -> None:
    job = api(site, "pipelines/compress")
    used = {node.get("layer") for node in job["nodes"]}
    assert [layer for layer in job["layers"] if layer in used] == [
        "raw", "intermediate", "primary", "models", "step 01", "step 02", "final",
        "model_output", "reporting",
    ]  # fmt: skip


def test_every_step_is_a_box_to_open(site: Path) -> None:
    boxes = api(site, "pipelines/compress")["modular_pipelines"]
    assert set(boxes) >= {
        "compress.step_01",
        "compress.step_02",
        "control.step_02",  # one control: align is last
    }
    inside = {child["id"] for child in boxes["compress.step_01"]["children"]}
    names = {node["id"]: node["name"] for node in api(site, "pipelines/compress")["nodes"]}
    assert {"score_blocks", "drop_block", "align", "merge_lora", "evaluate_step"} <= {
        names[child].split(".")[-1] for child in inside
    }


def test_tables_plots_and_checkpoints_have_previews(site: Path) -> None:
    table = api(site, f"nodes/{node_id(site, 'result_table')}")
    assert table["preview_type"] == "TablePreview"
    assert [row[0] for row in table["preview"]["data"]][:3] == [
        "uncompressed", "step_01", "step_02",
    ]  # fmt: skip
    plot = api(site, f"nodes/{node_id(site, 'accuracy_plot')}")
    assert plot["preview_type"] == "PlotlyPreview"
    assert len(plot["preview"]["data"]) == 5
    checkpoint = api(site, f"nodes/{node_id(site, 'compress.step_02.checkpoint')}")
    assert checkpoint["preview_type"] == "JSONPreview"
    assert len(json.loads(checkpoint["preview"])["kept_blocks"]) == 6


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """The site on a port of this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on this machine")
def test_a_browser_shows_steps_and_previews(site: Path, address: str, tmp_path: Path) -> None:
    steps = ("compress.step_01", "compress.step_02", "step 01", "model_output")
    page_that(
        lambda html: all(text in html for text in steps),
        f"{address}/?pid=compress&expandAllPipelines=true", tmp_path,
    )  # fmt: skip
    page_that(
        lambda html: "ResultTable" in html and re.search("(one_shot|control)_01", html),
        f"{address}/?pid=compress&sid={node_id(site, 'result_table')}", tmp_path,
    )  # fmt: skip
