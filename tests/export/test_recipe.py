"""The FFmpeg command of a model card makes the frames that this project makes."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.filter import Graph
from numbered import write_numbered

from tad_blockdrop.export.recipe import ffmpeg_filters, how_to_run
from tad_blockdrop.video.files.decode import read_frames
from tad_blockdrop.video.files.probe import timeline
from tad_blockdrop.video.files.proxies import sampled_frames
from tad_blockdrop.video.files.sampling import Sampling
from tad_blockdrop.video.windows.augment import centre_crop


def filtered(video, filters):
    """The frames that ``ffmpeg -vf <filters>`` makes of a video."""
    found = []
    with av.open(str(video)) as container:
        (stream,) = container.streams.video
        graph = Graph()
        first, last = graph.add_buffer(template=stream), graph.add("buffersink")
        steps = [graph.add(*step.split("=", 1)) for step in filters.split(",")]
        graph.link_nodes(first, *steps, last).configure()
        for frame in (*container.decode(stream), None):
            graph.push(frame)
            while True:
                try:
                    found.append(graph.pull().to_ndarray(format="rgb24"))
                except (av.BlockingIOError, av.EOFError):
                    break
    return np.stack(found)


@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001), 8])
@pytest.mark.parametrize("sampling", [Sampling(fps=10.0), Sampling(every=1), Sampling(every=4)])
def test_ffmpeg_makes_the_same_frames(rate, sampling, checkpoint, tmp_path):
    window = checkpoint.window.model_copy(update={"short_side": 36, "crop": 32})
    model = replace(checkpoint, window=window, every=sampling.every, fps=sampling.fps)
    video = write_numbered(tmp_path / "a.mp4", 60, rate, size=(80, 64))
    (filters,) = re.findall(r'-vf "(.+?)"', how_to_run(model))
    found = filtered(video, filters)
    indices, _ = sampled_frames(timeline(video), sampling)
    every = centre_crop(torch.from_numpy(read_frames(video, np.arange(60))), 36, 32).numpy()
    differences = np.abs(found[:, None].astype(int) - every).mean(axis=(2, 3, 4))
    assert differences.argmin(axis=1).tolist() == indices.tolist()
    assert differences.min(axis=1).max() < 4, "pixel by pixel"


def test_the_documented_command_is_that_of_the_benchmark(checkpoint):
    page = (Path(__file__).parents[2] / "docs/using-a-model.md").read_text(encoding="utf-8")
    window = checkpoint.window.model_copy(update={"short_side": 36, "crop": 32})
    assert f'-vf "{ffmpeg_filters(replace(checkpoint, window=window))}"' in page


@pytest.mark.parametrize(
    ("every", "fps", "command", "meaning"),
    [
        (None, 12.5, "frames.rgb 12.5", "12.5 is the frames per second that the model takes"),
        (4, None, "frames.rgb RATE", "`RATE` is the frames per second of the video, divided by 4"),
        (1, None, "frames.rgb RATE", "`RATE` is the frames per second of the video."),
    ],
)
def test_the_rate_is_that_of_the_sampled_frames(every, fps, command, meaning, checkpoint):
    said = how_to_run(replace(checkpoint, every=every, fps=fps))
    assert f"python run_onnx.py . {command}\n" in said
    assert meaning in said
