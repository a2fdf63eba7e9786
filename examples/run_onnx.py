"""Detections from an exported model, with numpy and onnxruntime alone: docs/using-a-model.md.

Usage: python examples/run_onnx.py <folder of model.onnx> <raw RGB frames> <frames per second>
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def overlaps(one, others):  # what both cover, over what either covers
    both = (np.minimum(others[:, 1], one[1]) - np.maximum(others[:, 0], one[0])).clip(0)
    return both / (others[:, 1] - others[:, 0] + one[1] - one[0] - both)


folder, file, rate = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
if rate != (fps := about["sampling"]["fps"] or rate):
    sys.exit(f"{file}: the model takes {fps:g} frames a second of any video, not {rate:g}")
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
every, kept = np.concatenate(found), []
found = every = every[every[:, 1] > every[:, 0]]
while len(found := found[found[:, 2] >= post["min_score"]]):
    kept.append(best := found[(top := found[:, 2].argmax())])
    found = np.delete(found, top, axis=0)
    same = found[:, 3] == best[3]
    found[same, 2] *= np.exp(-(overlaps(best, found)[same] ** 2) / post["sigma"])  # soft-NMS
for one in kept if post["voting_tiou"] else []:  # what overlaps it says when it starts and ends
    votes = every[overlaps(one, every) >= post["voting_tiou"]]
    one[:2] = np.average(votes[:, :2], axis=0, weights=votes[:, 2])
for start, end, score, label in kept[: post["max_detections"]]:
    if score >= ((about["operating_point"] or {}).get(classes[int(label)]) or 0.2):
        print(f"{max(0, start):8.2f} {min(end, n / rate):8.2f}  {score:.3f}  {classes[int(label)]}")
