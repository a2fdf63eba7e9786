"""The documents against the project: examples run, and what they name exists."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tad_blockdrop"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FIRST_SCREEN = 28  # lines of the README that a reader sees at once
SHELL = re.compile(r"```bash\n(.*?)```|(?<!`)`([^`\n]+)`", re.DOTALL)


def text_of(page: Path) -> str:
    """What a reader sees: without comments."""
    return re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    """Lines of bash blocks and inline code."""
    for block, inline in SHELL.findall(text_of(page)):
        yield from (line.partition(" #")[0].strip() for line in (block or inline).splitlines())


def blocks(page: Path) -> list[tuple[str, str]]:
    """Python blocks, each with the text block that follows it directly (its output) or ''."""
    pattern = r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?"
    return re.findall(pattern, text_of(page), flags=re.DOTALL)


def anchor(heading: str) -> str:
    """The name GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def prose_of(page: Path) -> str:
    return re.sub(r"```.*?```|`[^`\n]+`", "", text_of(page), flags=re.DOTALL)


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", prose_of(page), flags=re.MULTILINE)


@cache
def names_in(path: Path) -> set[str]:
    """Top-level names and, as ``Class.name``, what classes define."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for name in defined(node):
            names.add(name)
            if isinstance(node, ast.ClassDef):
                names |= {f"{name}.{inner}" for part in node.body for inner in defined(part)}
    return names


def defined(node: ast.stmt) -> list[str]:
    match node:
        case ast.ClassDef() | ast.FunctionDef():
            return [node.name]
        case ast.Assign():
            return [target.id for target in node.targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


@cache
def registered_pipelines() -> frozenset[str]:
    """In a process of its own: tests that ran before may have set another shape."""
    code = (
        "from tad_blockdrop.pipeline_registry import register_pipelines\n"
        "print(*register_pipelines())"
    )
    return frozenset(run(code, ROOT).split()) - {"__default__"}


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(SOURCE.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, part = target.partition("#")
        to = (page.parent / file).resolve() if file else page
        assert to.exists(), f"{page.name} links to {target}"
        if part:
            assert part in map(anchor, headings(to)), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_code_exists(page: Path) -> None:
    """``folder/file.py:name`` and ``folder/file.py`` in the docs, relative to the package."""
    for file, name in re.findall(r"`([\w/]+\.py)(?::([\w.]+))?`", text_of(page)):
        path = SOURCE / file
        if file.startswith(("opentad/", "tools/")) or ("/" not in file and not name):
            continue  # files of the public code
        if file == "file.py":
            continue  # the notation itself
        beside = ("src/", "tests/", "benchmarks/", "examples/")
        path = ROOT / file if file.startswith(beside) else path
        assert path.is_file(), f"{page.name} names {file}"
        assert not name or name in names_in(path), f"{page.name} names {file}:{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_parameters_exist(page: Path) -> None:
    tree = yaml.safe_load((ROOT / "conf/base/parameters.yml").read_text(encoding="utf-8"))
    roots = "|".join(tree)
    found = [
        key
        for code in re.findall(r"(?<!`)`([^`\n]+)`", text_of(page))
        for key in re.findall(rf"^(?:--params )?((?:{roots})(?:\.[a-z_]+)*)(?=$|[:=])", code)
    ]
    for line in commands(page):
        for given in re.findall(r"--params (\S+)", line):
            found += re.findall(r"(?:^|,)([a-z_.]+)=", given)
    for key in found:
        node = tree
        for part in key.split("."):
            assert part in node, f"{page.name} names the parameter {key}"
            node = node[part]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_commands_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    for line in commands(page):
        if found := re.fullmatch(r"make ([a-z-]+)(?: [A-Z]+=.*)?", line):
            assert found[1] in targets, f"{page.name}: make {found[1]}"
        if found := re.match(r"(?:\.venv/bin/)?kedro ([a-z]+)", line):
            assert found[1] in kedro_commands(), f"{page.name}: kedro {found[1]}"
            for name in re.findall(r"--pipelines? (\w+)", line):
                assert name in registered_pipelines(), f"{page.name}: --pipeline {name}"
            for name in re.findall(r"--env ([a-z]\w*)", line):
                made = name == "my_videos"  # by kedro begin
                assert made or (ROOT / "conf" / name).is_dir(), f"{page.name}: --env {name}"


@cache
def kedro_commands() -> frozenset[str]:
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "--help"], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return frozenset(re.findall(r"^  ([a-z]+)  ", done.stdout, flags=re.MULTILINE))


def test_every_pipeline_is_listed() -> None:
    section = text_of(ROOT / "docs/running.md").split("## Pipelines")[1].split("\n#")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)) == registered_pipelines()


def test_the_readme_is_short_and_opens_with_what_a_newcomer_needs() -> None:
    lines = text_of(ROOT / "README.md").splitlines()
    assert len(lines) <= 150
    screen = "\n".join(lines[:FIRST_SCREEN])
    assert re.search(r"^!\[.+\]\(docs/[\w-]+\.png\)$", screen, flags=re.MULTILINE)
    [block] = re.findall(r"```bash\n(.*?)```", screen, flags=re.DOTALL)
    assert [line.partition(" #")[0].strip() for line in block.splitlines()] == [
        "make compress", "make test"
    ]  # fmt: skip
    assert "`make compress TORCH=cpu`" in screen
    doors = re.findall(r"\]\(#([\w-]+)\)", screen)
    assert doors == ["see-it-work", "your-own-videos", "thumos14-and-activitynet"]


def test_every_page_and_example_can_be_found() -> None:
    readme = text_of(ROOT / "README.md")
    assert [page.name for page in PAGES if page.parent != ROOT and page.name not in readme] == []
    pages = "".join(map(text_of, PAGES))
    assert [path.name for path in EXAMPLES if f"](../examples/{path.name})" not in pages] == []


def test_citations_of_the_method_resolve() -> None:
    sections = {heading.split()[0].rstrip(".") for heading in headings(ROOT / "docs/method.md")}
    for path in SOURCE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        cited = re.findall(r"docs/method\.md (§[\d.]*\d(?:(?:-| and |, )§?[\d.]*\d)*)", source)
        assert len(cited) == source.count("method.md"), f"{path}: cite as `docs/method.md §2.1`"
        for number in re.findall(r"[\d.]*\d", " ".join(cited)):
            assert number in sections, f"{path} cites docs/method.md §{number}"


@pytest.mark.parametrize(
    ("page", "index"),
    [(page, i) for page in PAGES for i in range(len(blocks(page)))],
    ids=lambda value: getattr(value, "name", value),
)
def test_examples_of_the_docs_run(page: Path, index: int) -> None:
    code, expected = blocks(page)[index]
    with redirect_stdout(StringIO()) as printed:
        exec(compile(code, f"{page.name}[{index}]", "exec"), {"__name__": "example"})
    if expected:
        assert printed.getvalue() == expected


def example(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An example that a reader has run in a project."""
    return subprocess.run(
        [sys.executable, ROOT / "examples" / name, *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(SOURCE.parent), "COLUMNS": "200"},
    )  # fmt: skip


def run_example(name: str, folder: Path, *arguments: str) -> str:
    """What an example prints."""
    done = example(name, folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_step_is_loaded(project_with_a_step: Path) -> None:
    assert "(0,) 1 {}" in run_example("load_a_step.py", project_with_a_step, "2")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("2", "--env", "smoke"), "experiment 'smoke' has no compress.step_02.checkpoint: check"),
        (("3",), "experiment 'synthetic' has no compress.step_03.checkpoint: check the step"),
        (("2", "--env", "none"), "the parameter files cannot be read: "),
    ],
)
def test_a_step_that_is_not_there_is_told_in_a_sentence(
    project_with_a_step: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = example("load_a_step.py", project_with_a_step, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1


def test_a_video_is_predicted(project_with_a_step: Path) -> None:
    model = "data/06_models/synthetic/compress/step_02/checkpoint"
    video = "data/01_raw/synthetic/videos/val_0000.mp4"
    printed = run_example("predict_a_video.py", project_with_a_step, model, video)
    assert "Columns: [video_id, start, end, label, score]" in printed or "val_0000" in printed


def test_every_example_is_run_by_a_test() -> None:
    tests = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    )
    assert [path.name for path in EXAMPLES if f'"{path.name}"' not in tests] == []


@pytest.fixture
def project_with_a_step(tmp_path: Path) -> Path:
    """This project with other data: a video of the benchmark and a tiny model of step 2."""
    from tad_blockdrop.config import DetectorConfig, PostprocessConfig, WindowConfig
    from tad_blockdrop.detector.checkpoint import Checkpoint, write_checkpoint
    from tad_blockdrop.detector.model import Detector, weights_of
    from tad_blockdrop.synthetic.benchmark import SyntheticConfig, plan_one, write_video

    for name in ("conf", "pyproject.toml", ".telemetry"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "src").mkdir()  # Kedro wants one; the package is found on the path
    videos = tmp_path / "data/01_raw/synthetic/videos"
    videos.mkdir(parents=True)
    write_video(plan_one(SyntheticConfig(), "validation", 0), videos / "val_0000.mp4")
    window = WindowConfig(frames=32, grid=16, crop=32, short_side=32)
    config = DetectorConfig.model_validate(
        {
            "backbone": {"width": 8, "depth": 2, "heads": 1},
            "pyramid": {"width": 8, "levels": 1},
            "head": {"ranges": [[0, 10000]]},
        }
    )
    step = tmp_path / "data/06_models/synthetic/compress/step_02/checkpoint"
    version = step / "2030-01-01T00.00.00.000Z" / "checkpoint"
    version.parent.mkdir(parents=True)
    write_checkpoint(
        Checkpoint(
            weights=weights_of(Detector(config, 2, window, (0,))),
            detector=config,
            kept_blocks=(0,),
            classes=("rise", "fall"),
            window=window,
            every=1,
            fps=None,
            postprocess=PostprocessConfig(),
            lineage={"dropped_block": 1},
        ),
        version,
    )
    return tmp_path
