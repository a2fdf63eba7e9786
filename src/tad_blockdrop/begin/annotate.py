"""How to make annotations, for people who have none yet."""

import csv
import shlex
from io import StringIO
from pathlib import Path

from tad_blockdrop.begin.request import BeginError
from tad_blockdrop.errors import counted
from tad_blockdrop.video.files.listing import folder_contents

ENOUGH_VIDEOS = 30


def how_to_annotate(videos: Path) -> str:
    """What to do, with the names of this folder. Raises BeginError where it holds no video."""
    found = folder_contents(videos).videos
    if not found:
        raise BeginError(f"there is no video in {videos}: put some there, or name another folder")
    files = counted(len(found), "video file")
    enough = counted(min(len(found), ENOUGH_VIDEOS), "video")
    command = f"kedro begin --videos {shlex.quote(str(videos))} --annotations FILE"
    return f"""\
{files} in {videos}, not opened yet, and no annotations: --annotations FILE names their actions.
An action is a video, a start, an end and a class. Two ways to write them down:

- Mark them in a program that shows the video (BORIS, ELAN, Label Studio). FILE is the project that
  it saves, or what it exports.
- Type them into a spreadsheet, one action a row, and save it as CSV. Times are in seconds or as
  hours:minutes:seconds:

      video,start,end,label
      {_cell(found[0].relative_to(videos).as_posix())},1.5,4.0,jump

Mark every action of your classes in {enough} or more, and ten of
each class or more. A video without any action is a row with its name only. docs/datasets.md lists
what is understood. Then: {command}
"""


def _cell(name: str) -> str:
    """A name as a cell of a CSV file, which would be cut at its commas."""
    row = StringIO()
    csv.writer(row, lineterminator="").writerow([name])
    return row.getvalue()
