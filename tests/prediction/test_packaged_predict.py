"""The wheel, away from this project: it runs with a copy of ``conf``, and has all its files."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import yaml
from tests.conftest import ROOT, environment

from tad_blockdrop.detector.checkpoint import write_checkpoint


def build_wheel(folder: Path) -> Path:
    """What ``kedro package`` builds, with the setuptools of this environment."""
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignore)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
         "--wheel-dir", folder / "dist", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    [wheel] = (folder / "dist").glob("*.whl")
    return wheel


def test_the_wheel_predicts_elsewhere(tmp_path, checkpoint, write_video):
    with ZipFile(build_wheel(tmp_path / "source")) as wheel:
        wheel.extractall(tmp_path / "installed")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(ROOT / "conf", elsewhere / "conf", ignore=shutil.ignore_patterns("local"))
    (elsewhere / "conf" / "local").mkdir()
    write_checkpoint(checkpoint, elsewhere / "model")
    settings = {"videos": str(write_video()), "checkpoint": "model", "min_score": 0.1}
    job = {"run": {"pipelines": "predict", "params": {"predict": settings}}}
    (elsewhere / "predict.yml").write_text(yaml.safe_dump(job), encoding="utf-8")

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=elsewhere, capture_output=True, text=True,
            check=False, env=environment() | {"PYTHONPATH": str(tmp_path / "installed")},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    used = python("-c", "import tad_blockdrop; print(tad_blockdrop.__file__)").strip()
    assert Path(used) == tmp_path / "installed" / "tad_blockdrop" / "__init__.py"
    python("-m", "tad_blockdrop", "--config", "predict.yml")
    [page] = elsewhere.glob("data/08_reporting/*/predictions.html/*/predictions.html")
    assert "prefers-color-scheme" in page.read_text(encoding="utf-8"), "report.css is not in it"
