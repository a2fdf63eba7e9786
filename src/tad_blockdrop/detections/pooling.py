"""Detections of whole videos: the windows of each video pooled, suppressed, in seconds.

The one place where grid coordinates and class indices become seconds and labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from tad_blockdrop.config import PostprocessConfig, WindowConfig
from tad_blockdrop.detections import postprocess
from tad_blockdrop.detections.classifier import VideoClasses
from tad_blockdrop.detections.postprocess import Proposals
from tad_blockdrop.detector.heads.contract import decode
from tad_blockdrop.detector.model import Detector, DetectorOutput, evaluating
from tad_blockdrop.parallel.group import ALONE, Group
from tad_blockdrop.storage.resumable_pass import Scratch, resume_batches
from tad_blockdrop.tasks.contract import OutputError
from tad_blockdrop.video.windows.batches import LoadedWindow
from tad_blockdrop.video.windows.cutting import VideoRecord, Window, to_seconds

_PROPOSALS_AT_ONCE = 50_000
"""Soft-NMS takes about this many at a time: many videos together are faster than one by one."""
EVERY = slice(None)


def detect(
    model: Detector,
    loader: DataLoader[LoadedWindow],
    records: Sequence[VideoRecord],
    classes: Sequence[str],
    config: PostprocessConfig,
    named: VideoClasses | None = None,
    what: str = "detecting",
    scratch: Scratch | None = None,
    group: Group = ALONE,
) -> pd.DataFrame:
    """Detections of a model in the videos of ``records``.

    ``loader`` gives the test windows of ``records``, video by video; ``classes`` are the model's,
    ``what`` titles the progress; with ``scratch`` a pass that was cut goes on. In a ``group`` the
    loader gives each process its own videos, and all get the table of all. Runs where the
    model is, in evaluation mode, and under the caller's autocast if there is one. For the result
    and the errors see ``VideoPool``.
    """
    pool = VideoPool(records, classes, model.window, config, named)
    with evaluating(model):
        for batch in resume_batches(loader, what, pool, scratch, group):
            on_device = batch.to(model.device, non_blocking=True)
            output = model.output_of(on_device)
            assert isinstance(output, DetectorOutput)
            pool.add(batch.windows, output, batch.own)
    return pool.detections()


class VideoPool:
    """Collects the outputs of windows and turns them into detections, video by video.

    ``records`` are the videos and ``classes`` the names of the model's classes. ``named``, the
    scores of an external classifier for ``records`` in their order, replaces the one class of a
    class-agnostic model by its ``classifier_top`` best classes of the video.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        classes: Sequence[str],
        window: WindowConfig,
        config: PostprocessConfig,
        named: VideoClasses | None = None,
    ) -> None:
        if named is not None and len(classes) != 1:
            raise ValueError(
                f"an external classifier names what a model of one class finds, not of "
                f"{len(classes)}: set data.class_agnostic, or evaluation.postprocess.classifier "
                "to null"
            )
        if config.voting_tiou is not None and len(classes) != 1:
            raise ValueError(
                f"segment voting is for models of one class, not of {len(classes)}: set "
                "evaluation.postprocess.voting_tiou to null"
            )
        self._records = list(records)
        self._place = {record.video_id: i for i, record in enumerate(self._records)}
        self._classes = np.array(named.classes if named else classes, dtype=object)
        self._window, self._config, self._named = window, config, named
        self._waiting: list[Proposals] = []
        self._done: list[Proposals] = []
        self._current = -1
        self._seen: set[int] = set()

    def add(self, windows: Sequence[Window], output: DetectorOutput, own: slice = EVERY) -> None:
        """Take the model's output for a batch of windows, or for its ``own`` ones.

        The windows of a video must come one after the other. Raises ValueError if they do not,
        and OutputError, with the video, if the output is not finite.
        """
        # Of the whole batch: how a vector's end is computed depends, in the last bits, on its size.
        found = zip(windows, self.proposals(windows, output), strict=True)
        for window, proposals in list(found)[own]:
            self._turn_to(window.video_id)
            self._waiting.append(proposals)

    def proposals(self, windows: Sequence[Window], output: DetectorOutput) -> Iterator[Proposals]:
        """What the model proposes in each window of a batch, and in which second of the video.

        With windows of the kind ``resize`` in grid steps. Raises OutputError as ``add`` does.
        """
        segments = decode(output.points, output.offsets).float().cpu().numpy()
        scores = output.logits.float().sigmoid().cpu().numpy()
        valid = output.mask.cpu().numpy()
        for i, window in enumerate(windows):
            place = self._place_of(window.video_id)
            mine = segments[i][valid[i]], scores[i][valid[i]]
            if not all(np.isfinite(values).all() for values in mine):
                raise OutputError(
                    f"the model's output for video '{window.video_id}' (window at sample "
                    f"{window.start}) is not finite: its weights are damaged, its training "
                    "diverged, or runtime.precision is too low for it"
                )
            found = postprocess.window_proposals(*mine, self._config, place)
            if self._window.kind == "sliding":
                found = self._in_seconds(found, place, window.start)
            yield found

    def state(self) -> dict[str, torch.Tensor]:
        """All that the windows so far have left behind, by name."""
        arrays = {
            f"{name}.{field.name}": getattr(found, field.name)
            for name, parts in (("done", self._done), ("waiting", self._waiting))
            for found in [postprocess.concatenate(parts)]
            for field in fields(Proposals)
        }
        arrays["seen"] = np.array(sorted(self._seen), np.int64)
        arrays["current"] = np.array(self._current)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Become the pool that ``state`` was taken from; its arguments must be the same."""
        self._done, self._waiting = [_proposals(state, "done")], [_proposals(state, "waiting")]
        self._seen = set(state["seen"].tolist())
        self._current = int(state["current"])

    def share(self, group: Group) -> None:
        """Hold the detections of all processes; each had whole videos, in order of rank."""
        self._flush()
        states = group.gather(self.state())
        self._done = [_proposals(state, "done") for state in states]
        self._seen = {place for state in states for place in state["seen"].tolist()}

    def detections(self) -> pd.DataFrame:
        """The table of all detections so far: video_id, start, end (s), label, score.

        By video in the order of the records, then by descending score; nothing is rounded. Call
        it after the last ``add``.
        """
        self._flush()
        found = postprocess.concatenate(self._done)
        names = np.array([record.video_id for record in self._records], dtype=object)
        return pd.DataFrame(
            {
                "video_id": pd.array(names[found.videos], dtype="str"),
                "start": found.segments[:, 0].astype(np.float64),
                "end": found.segments[:, 1].astype(np.float64),
                "label": pd.array(self._classes[found.labels], dtype="str"),
                "score": found.scores.astype(np.float64),
            }
        )

    def _place_of(self, video_id: str) -> int:
        place = self._place.get(video_id)
        if place is None:
            raise ValueError(f"video '{video_id}' has windows but is not among the records")
        return place

    def _turn_to(self, video_id: str) -> None:
        """Begin a video; the one before is complete, which is when a flush may happen."""
        place = self._place_of(video_id)
        if place != self._current:
            if place in self._seen:
                raise ValueError(
                    f"the windows of video '{video_id}' are not in a row; read them in order"
                )
            if sum(map(len, self._waiting)) >= _PROPOSALS_AT_ONCE:
                self._flush()
            self._seen.add(place)
            self._current = place

    def _flush(self) -> None:
        """Suppress what is waiting; all of it belongs to complete videos."""
        kept = postprocess.suppress(postprocess.concatenate(self._waiting), self._config)
        self._waiting = []
        if self._window.kind == "resize":
            # one window per video: suppressed where it was found, and clamped to the video after
            kept = postprocess.concatenate(
                [self._in_seconds(kept[kept.videos == v], v, 0) for v in np.unique(kept.videos)]
            )
        if self._named is not None:
            kept = postprocess.fuse_classifier(
                kept, self._named.scores, self._config.classifier_top
            )
        self._done.append(kept)

    def _in_seconds(self, found: Proposals, place: int, start: int) -> Proposals:
        """Of one window: grid steps -> seconds inside the video; what is then empty is left out."""
        record = self._records[place]
        steps = found.segments.astype(np.float64)
        segments = to_seconds(steps, start, record.rate, record.duration, self._window)
        moved = Proposals(segments, found.scores, found.labels, found.videos)
        return moved[segments[:, 1] > segments[:, 0]]


def _proposals(state: Mapping[str, torch.Tensor], name: str) -> Proposals:
    """Those that ``VideoPool.state`` has under a name."""
    return Proposals(*(state[f"{name}.{field.name}"].numpy() for field in fields(Proposals)))
