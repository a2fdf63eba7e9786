"""Detect actions with an exported model; needs numpy and onnxruntime, nothing else.

    python run_onnx.py <folder of the export> frames.rgb <frames per second>

frames.rgb holds the sampled frames as raw RGB, e.g. for 36 / 32 pixels (window.short_side / crop):
    ffmpeg -i video.mp4 -vf "scale=36:36:force_original_aspect_ratio=increase,crop=32:32" \
        -pix_fmt rgb24 -f rawvideo frames.rgb
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def soft_nms(found, sigma, min_score):  # rows of start, end, score, class; all of one class
    kept = []
    while len(found):
        best = found[:, 2].argmax()
        kept.append(found[best])
        start, end = found[best, :2]
        found = np.delete(found, best, axis=0)
        inter = np.minimum(found[:, 1], end) - np.maximum(found[:, 0], start)
        union = found[:, 1] - found[:, 0] + end - start - inter.clip(0)
        found[:, 2] *= np.exp(-((inter.clip(0) / np.maximum(union, 1e-9)) ** 2) / sigma)
        found = found[found[:, 2] >= min_score]
    return kept


def detect(folder, frames, rate):
    """Rows (start s, end s, score, class name), best first; frames (n, crop, crop, 3) uint8."""
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    window, post = about["window"], about["postprocess"]
    session = onnxruntime.InferenceSession(folder / about["files"]["onnx"])
    location, stride = (np.array(about["points"][name]) for name in ("location", "stride"))
    n, size, sliding = len(frames), window["frames"], window["kind"] == "sliding"
    step = max(1, round(size * (1 - window["overlap"])))
    last = max(0, n - size) if sliding else 0
    rows = []
    for first in [*range(0, last, step), last]:
        shown = np.minimum(first + np.arange(size), n - 1)
        mask = np.arange(window["grid"]) * window["frames_per_step"] < n
        if not sliding:  # the whole video is one window
            shown, mask[:] = np.linspace(0, n - 1, size).round().astype(int), True
        logits, offsets = session.run(None, {"frames": frames[shown][None], "mask": mask[None]})
        scores = 1 / (1 + np.exp(-logits[0])) * mask[location][:, None]
        grid = location[:, None] + stride[:, None] * offsets[0] * [-1, 1]
        per_step = window["frames_per_step"] if sliding else n / window["grid"]
        best = np.argsort(-scores, axis=None, kind="stable")[: post["pre_nms"]]
        point, label = np.divmod(best[scores.flat[best] > post["min_score"]], scores.shape[1])
        seconds = (first + grid[point] * per_step) / rate
        rows.append(np.column_stack([seconds, scores[point, label], label]))
    found = np.concatenate(rows)
    inside = lambda part: np.column_stack([part[:, :2].clip(0, n / rate), part[:, 2:]])  # noqa: E731
    found = inside(found) if sliding else found
    found = found[found[:, 1] > found[:, 0]]
    groups = [found[found[:, 3] == k] for k in range(len(about["classes"]))]
    kept = [row for group in groups for row in soft_nms(group, post["sigma"], post["min_score"])]
    kept = inside(np.array(sorted(kept, key=lambda row: -row[2])).reshape(-1, 4))
    kept = kept[: post["max_detections"]]
    return [(*row[:3].tolist(), about["classes"][int(row[3])]) for row in kept if row[1] > row[0]]


if __name__ == "__main__":
    export = Path(sys.argv[1])
    side = json.loads((export / "model.json").read_text(encoding="utf-8"))["window"]["crop"]
    pixels = np.fromfile(sys.argv[2], np.uint8).reshape(-1, side, side, 3)
    for start, end, score, name in detect(export, pixels, float(sys.argv[3])):
        print(f"{start:8.2f} {end:8.2f}  {score:.3f}  {name}")
