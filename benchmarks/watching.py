"""Hours of a source, watched as fast as this machine can: does memory stay flat?

    python benchmarks/watching.py data/06_models/synthetic/final_checkpoint VIDEO --hours 2

The packets of the video are written again and again into one long file, which is then watched as
``kedro run --pipeline watch`` does it. Prints the resident memory of both processes on the way.
"""

import argparse
import multiprocessing
import os
import re
import tempfile
import time
from pathlib import Path

import av

from tad_blockdrop.config.watch import WatchConfig
from tad_blockdrop.prediction.live.sources import find_source
from tad_blockdrop.prediction.live.watching import Watch
from tad_blockdrop.prediction.predictor import load_predictor

ROWS = 8


def repeat(video: str, to: Path, hours: float) -> None:
    """Write the first video stream of ``video`` over and over, for at least so many hours."""
    shift = 0
    with av.open(str(to), "w", format="matroska") as output:
        stream = None
        while True:
            with av.open(video) as source:
                [own, *_] = source.streams.video
                stream = stream or output.add_stream_from_template(own)
                end = shift
                for packet in source.demux(own):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    end = max(end, packet.pts + packet.duration)
                    seconds = float(end * packet.time_base)
                    packet.stream = stream
                    output.mux(packet)
                shift = end
            if seconds >= hours * 3600:
                return


def resident(process: int) -> float:
    """MB that a process holds (Linux)."""
    [pages] = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(pages) / 1000


def main() -> None:
    """Repeat, watch, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("video")
    parser.add_argument("--hours", type=float, default=2.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.mkv"
        repeat(asked.video, long, asked.hours)
        os.utime(long, (0, 0))  # it does not grow any more
        begin = time.perf_counter()
        watch = Watch(load_predictor(asked.checkpoint), find_source(str(long)), WatchConfig())
        every, due = asked.hours * 3600 / ROWS, 60.0
        print("second of the source | detections | seconds | MB watching | MB reading")
        for _ in watch.lines():
            if watch.tally.seconds >= due:
                [reader] = multiprocessing.active_children()
                print(
                    f"{watch.tally.seconds:.0f} | {watch.tally.detections} | "
                    f"{time.perf_counter() - begin:.0f} | {resident(os.getpid()):.0f} | "
                    f"{resident(reader.pid):.0f}",
                    flush=True,
                )
                due += every
        print(watch.tally.sentences())


if __name__ == "__main__":
    main()
