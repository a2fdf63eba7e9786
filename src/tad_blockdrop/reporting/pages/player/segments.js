"use strict";
// What is true in a video after its corrections: the rules of review/corrections.py.

const milliseconds = (seconds) => Math.round(seconds * 1000) / 1000;
const keyOf = (segment) => `${segment.start} ${segment.end} ${segment.label}`;
const stated = ({ label, start, end }) => ({ label, start, end });

// Of a video: the true segments, the detections that were judged, whether it is finished.
function replay(video) {
  const state = {
    truth: new Map(video.truth.map((segment) => [keyOf(segment), segment])),
    judged: new Map(),
    finished: false,
  };
  for (const entry of video.entries) {
    for (const change of entry.changes) apply(state, change);
  }
  return state;
}

function apply(state, change) {
  if (change.kind === "finish") {
    state.finished = change.finished;
  } else if (change.kind === "judge") {
    if (state.judged.has(keyOf(change.detection))) return;
    state.judged.set(keyOf(change.detection), change.truth);
    if (change.truth) state.truth.set(keyOf(change.truth), change.truth);
  } else {
    const { before, after } = change;
    if (before && !state.truth.has(keyOf(before))) return;
    if (after && state.truth.has(keyOf(after))) return;
    if (before) state.truth.delete(keyOf(before));
    if (after) state.truth.set(keyOf(after), after);
  }
}

// The true segment that a detection has found: of its class, sharing at least half of their time.
function found(detection, state) {
  let best = null;
  let most = 0.5;
  for (const segment of state.truth.values()) {
    if (segment.label !== detection.label) continue;
    const shared = Math.min(segment.end, detection.end) - Math.max(segment.start, detection.start);
    const whole = Math.max(segment.end, detection.end) - Math.min(segment.start, detection.start);
    if (shared / whole >= most) [best, most] = [segment, shared / whole];
  }
  return best;
}

const accepted = (detection, state) =>
  ({ kind: "judge", detection: stated(detection), truth: stated(found(detection, state) ?? detection) });

// The changes that make ``after`` (null: nothing) of what an item of the timeline shows. Where a
// detection has found a true segment, that is what moves with it.
function changed(item, after, state) {
  const before = stated(item.segment);
  if (item.true) return [{ kind: "edit", before, after }];
  const own = after && found(before, state);
  const moves = own && !state.truth.has(keyOf(after)) ? [{ kind: "edit", before: stated(own), after }] : [];
  return [...moves, { kind: "judge", detection: before, truth: after }];
}

// Another true segment of the same class at the same time, if there is one.
function overlapping(segment, state) {
  return [...state.truth.values()].find((other) => other.label === segment.label &&
    keyOf(other) !== keyOf(segment) && other.start < segment.end && segment.start < other.end);
}
