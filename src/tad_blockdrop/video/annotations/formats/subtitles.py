"""Subtitles that show actions in any player: SubRip (``.srt``) and WebVTT (``.vtt``)."""

from collections.abc import Iterator, Sequence

from tad_blockdrop.video.annotations.formats.writing import Action, LabelledVideo, one_line
from tad_blockdrop.video.files.listing import file_name


class SubRip:
    """A file for each video, written only."""

    def write(self, videos: Sequence[LabelledVideo]) -> dict[str, str]:
        """Each action as a subtitle with its class and score."""
        return {
            file_name(video.video_id, ".srt"): "\n".join(
                f"{number}\n{span.replace('.', ',')}\n{text}\n"
                for number, (span, text) in enumerate(_cues(video.actions), 1)
            )
            for video in videos
        }


class WebVTT:
    """A file for each video, written only."""

    def write(self, videos: Sequence[LabelledVideo]) -> dict[str, str]:
        """Each action as a subtitle with its class and score."""
        return {
            file_name(video.video_id, ".vtt"): "WEBVTT\n"
            + "".join(f"\n{span}\n{_escaped(text)}\n" for span, text in _cues(video.actions))
            for video in videos
        }


def _cues(actions: Sequence[Action]) -> Iterator[tuple[str, str]]:
    """The times and the text of every action, in order."""
    for action in sorted(actions, key=lambda a: (a.start, a.end)):
        score = "" if action.score is None else f" {action.score:.2f}"
        yield f"{_clock(action.start)} --> {_clock(action.end)}", one_line(action.label) + score


def _clock(seconds: float) -> str:
    rest = round(max(seconds, 0) * 1000)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
