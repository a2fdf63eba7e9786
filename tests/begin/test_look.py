"""Looking at videos and annotations as the settings of a project say."""

from pathlib import Path

from PIL import Image

from tad_blockdrop.begin.look import look_at
from tad_blockdrop.config import DataConfig


def test_pictures_are_looked_at_at_the_rate_that_the_project_states(tmp_path: Path) -> None:
    folder = tmp_path / "videos" / "take"
    folder.mkdir(parents=True)
    for number in range(1, 9):
        Image.new("RGB", (64, 48)).save(folder / f"img_{number:05d}.png")
    table = tmp_path / "actions.csv"
    table.write_text("video,start,end,label\ntake,0.5,1.5,wave\n", encoding="utf-8")
    found = look_at(tmp_path / "videos", table, DataConfig(every=1, picture_rate=4), 30.0)
    assert found.unreadable == []
    assert found.facts["duration"].tolist() == [2.0]
