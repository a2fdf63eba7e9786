"""Detections from an exported model, with numpy and onnxruntime alone: docs/using-a-model.md.

Usage: python examples/run_onnx.py <folder of model.onnx> <raw RGB frames> <frames per second>
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

folder, file, rate = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
window, post, classes = about["window"], about["postprocess"], about["classes"]
location, stride = (np.array(about["points"][key])[:, None] for key in ("location", "stride"))
session = onnxruntime.InferenceSession(folder / "model.onnx")
frames = np.fromfile(file, np.uint8).reshape(-1, window["crop"], window["crop"], 3)
n, size, sliding = len(frames), window["frames"], window["kind"] == "sliding"
last, found = max(0, n - size) if sliding else 0, []  # found: start, end (seconds), score, class
for first in [*range(0, last, max(1, round(size * (1 - window["overlap"])))), last]:
    shown = np.minimum(first + np.arange(size), n - 1)
    mask = np.arange(window["grid"]) * window["frames_per_step"] < n
    if not sliding:  # the whole video is one window
        shown, mask[:] = np.linspace(0, n - 1, size).round().astype(int), True
    logits, offsets = session.run(None, {"frames": frames[shown][None], "mask": mask[None]})
    scores = mask[location] / (1 + np.exp(-logits[0]))
    best = np.argsort(-scores, axis=None, kind="stable")[: post["pre_nms"]]
    point, label = np.divmod(best[scores.flat[best] > post["min_score"]], len(classes))
    per_step = window["frames_per_step"] if sliding else n / window["grid"]  # in frames
    seconds = (first + per_step * (location + stride * offsets[0] * [-1, 1])[point]) / rate
    seconds = seconds.clip(0, n / rate) if sliding else seconds
    found.append(np.column_stack([seconds, scores[point, label], label]))
found = np.concatenate(found)
kept = []
while len(found := found[(found[:, 2] >= post["min_score"]) & (found[:, 1] > found[:, 0])]):
    kept.append(best := found[(top := found[:, 2].argmax())])
    found = np.delete(found, top, axis=0)
    both = (np.minimum(found[:, 1], best[1]) - np.maximum(found[:, 0], best[0])).clip(0)
    either = found[:, 1] - found[:, 0] + best[1] - best[0] - both
    same = found[:, 3] == best[3]
    found[same, 2] *= np.exp(-((both / either)[same] ** 2) / post["sigma"])  # soft-NMS
for start, end, score, label in kept[: post["max_detections"]]:
    if score >= ((about["operating_point"] or {}).get(classes[int(label)]) or 0.2):
        print(f"{max(0, start):8.2f} {min(end, n / rate):8.2f}  {score:.3f}  {classes[int(label)]}")
