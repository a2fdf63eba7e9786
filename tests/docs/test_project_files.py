"""The files that other services read agree with the project."""

import re
import tomllib

import yaml
from tests.conftest import ROOT

import tad_blockdrop


def read_yaml(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_names_the_paper() -> None:
    citation = read_yaml("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == tad_blockdrop.__version__
    assert {"message", "title", "authors"} <= set(citation)
    [paper] = citation["references"]
    assert paper["url"].endswith("2503.16916")
    assert len(paper["authors"]) == 6


def test_the_hooks_are_the_linters_of_make_test() -> None:
    [local] = read_yaml(".pre-commit-config.yaml")["repos"]
    hooks = {hook["entry"].removesuffix(" --force-exclude") for hook in local["hooks"]}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    linters = re.findall(r"^\t\$\(BIN\)/(ruff check|ruff format|mypy)\b", makefile, re.MULTILINE)
    assert hooks == {f".venv/bin/{linter}" for linter in linters}


def test_the_workflow_runs_what_decides_with_the_oldest_python_and_no_cuda() -> None:
    [job] = read_yaml(".github/workflows/test.yml")["jobs"].values()
    assert job["env"]["TORCH"] == "cpu"
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest, newest = job["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={oldest}"
    assert int(newest.removeprefix("3.")) > int(oldest.removeprefix("3."))
