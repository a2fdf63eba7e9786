"""How to make annotations, for people who have none yet."""

from pathlib import Path

from tad_blockdrop.begin.request import BeginError
from tad_blockdrop.video.files.listing import folder_contents

ENOUGH_VIDEOS = 30


def how_to_annotate(videos: Path) -> str:
    """What to do, with the names of this folder. Raises BeginError where it holds no video."""
    found = folder_contents(videos).videos
    if not found:
        raise BeginError(f"there is no video in {videos}: put some there, or name another folder")
    return f"""\
{len(found)} videos in {videos}, and no annotations yet: --annotations FILE names their actions.
An action is a video, a start, an end and a class. Two ways to write them down:

- Mark them in a program that shows the video (BORIS, ELAN, Label Studio). FILE is the project that
  it saves, or what it exports.
- Type them into a spreadsheet, one action a row, and save it as CSV. Times are in seconds or as
  hours:minutes:seconds:

      video,start,end,label
      {found[0].relative_to(videos).as_posix()},1.5,4.0,jump

Mark every action of your classes in {min(len(found), ENOUGH_VIDEOS)} videos or more, and ten of
each class or more. A video without any action is a row with its name only. docs/datasets.md lists
what is understood. Then: kedro begin --videos {videos} --annotations FILE
"""
