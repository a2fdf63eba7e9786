"""Files as people have them: what is true of each kind, and what the product says.

``make field`` makes every input, asks the product and prints the tables of docs/field.md;
``make field WRITE=--write`` also writes them there. A kind is a function that makes its input in an
empty folder and returns a ``Row``; a file of them has a list ``KINDS``, named in ``TOPICS``.
"""

import sys
import tempfile
from pathlib import Path

import av
import field_clocks
import field_tables
import field_videos
from field_rows import Row

PAGE = Path(__file__).parents[2] / "docs/field.md"
TOPICS = {
    "Time": field_clocks.KINDS,
    "Files": field_videos.KINDS,
    "Annotations": field_tables.ANNOTATIONS,
    "Annotation tools": field_tables.TOOL_FILES,
    "Weights": field_tables.WEIGHTS,
    "Saved tables and pages": field_tables.RESULTS,
}


def rows(topic: str) -> list[Row]:
    """The rows of a topic."""
    found = []
    for kind in TOPICS[topic]:
        with tempfile.TemporaryDirectory() as folder:
            found.append(kind(Path(folder)))
    return found


def as_table(found: list[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| kind | true | said | right |", "| --- | --- | --- | --- |"]
    for row in found:
        cells = [row.kind, row.true, row.said, "yes" if row.right else "**no**"]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the tables, write them where asked to; 1 if any row is wrong."""
    av.logging.set_level(None)
    found = {topic: rows(topic) for topic in TOPICS}
    text = "\n\n".join(f"## {topic}\n\n{as_table(those)}" for topic, those in found.items())
    print(text)
    if "--write" in sys.argv:
        head = PAGE.read_text(encoding="utf-8").partition("\n## ")[0]
        PAGE.write_text(f"{head}\n{text}\n", encoding="utf-8")
    return int(not all(row.right for those in found.values() for row in those))


if __name__ == "__main__":
    raise SystemExit(main())
