// The timeline below a video: a row for each class, above what is true, below what the model found.

const EDGE = 0.001; // seconds: the shortest segment
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200];

function made(tag, properties = {}, parent = null) {
  const element = Object.assign(document.createElement(tag), properties);
  parent?.append(element);
  return element;
}

function clock(seconds) {
  const parts = [seconds / 3600, (seconds / 60) % 60].map((part) => String(Math.floor(part)).padStart(2, "0"));
  return `${parts.join(":")}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;
}

class Timeline {
  // ``on``: what is called when something is selected, moved to a new segment, or sought.
  constructor(on) {
    this.on = on;
    [this.names, this.scroll, this.inner] = ["names", "scroll", "inner"].map((id) => document.getElementById(id));
    this.ruler = made("div", { className: "ruler" }, this.inner);
    this.rows = made("div", {}, this.inner);
    this.head = made("div", { className: "head" }, this.inner);
    this.grips = ["start", "end"].map((edge) => made("div", { className: `grip ${edge}` }));
    this.scroll.addEventListener("scroll", () => this.drawTicks());
    this.scroll.addEventListener("wheel", (event) => this.turned(event), { passive: false });
    this.inner.addEventListener("pointerdown", (event) => this.pressed(event));
    new ResizeObserver(() => this.drawTicks()).observe(this.scroll);
  }

  show(video) {
    this.video = video;
    this.zoom = 1;
    this.inner.style.width = "100%";
    this.scroll.scrollLeft = 0;
  }

  // ``items``: { segment, true, state }, of the ``kinds`` (classes) that have a row.
  draw(items, kinds, selected) {
    this.bars = new Map();
    this.names.replaceChildren(made("div", { className: "ruler" }));
    this.rows.replaceChildren();
    const lanes = new Map();
    for (const kind of kinds) {
      const name = made("div", { className: "row", textContent: kind.name, title: kind.name }, this.names);
      name.style.borderColor = kind.colour;
      const row = made("div", { className: "row" }, this.rows);
      lanes.set(kind.name, [row, kind]);
    }
    for (const item of items) {
      const [row, kind] = lanes.get(item.segment.label);
      this.bars.set(this.bar(item, kind, row), item);
    }
    this.select(selected);
    this.drawTicks();
  }

  bar(item, kind, row) {
    const { segment, state } = item;
    const chance = segment.probability === undefined ? "" : `, right with ${(100 * segment.probability).toFixed(0)} %`;
    const score = item.true ? "" : `, score ${segment.score.toFixed(3)}${chance}`;
    const bar = made("div", { className: `bar ${item.true ? "true" : "found"} ${state}` }, row);
    bar.setAttribute("role", "button");
    bar.title = `${segment.label}: ${clock(segment.start)} to ${clock(segment.end)}${score}, ${state}`;
    bar.setAttribute("aria-label", bar.title);
    bar.dataset.pattern = kind.pattern;
    bar.style.setProperty("--colour", kind.colour);
    if (!item.true) bar.style.setProperty("--strength", 0.35 + 0.65 * segment.score);
    this.place(bar, segment);
    return bar;
  }

  place(bar, { start, end }) {
    bar.style.left = `${(100 * start) / this.video.duration}%`;
    bar.style.width = `${(100 * (end - start)) / this.video.duration}%`;
  }

  select(item) {
    for (const grip of this.grips) grip.remove();
    this.selected?.classList.remove("selected");
    this.selected = null;
    for (const [bar, own] of this.bars) {
      if (item && own.true === item.true && keyOf(own.segment) === keyOf(item.segment)) this.selected = bar;
    }
    this.selected?.classList.add("selected");
    if (item?.movable) this.selected?.append(...this.grips);
  }

  // The second at a place of the screen.
  second(event) {
    const box = this.inner.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return Math.min(1, Math.max(0, share)) * this.video.duration;
  }

  pressed(event) {
    if (event.button !== 0) return;
    const edge = this.grips.indexOf(event.target);
    const item = this.bars.get(event.target);
    event.preventDefault();
    if (edge >= 0) this.drag(event, ["start", "end"][edge]);
    else if (item) this.on.select(item);
    else this.drag(event, null);
  }

  // Follow the pointer with an edge of the selected segment, or without one with the play head.
  drag(event, edge) {
    const item = edge && this.bars.get(this.selected);
    const bar = this.selected;
    let moved = item && { ...stated(item.segment) };
    const follow = (next) => {
      const second = this.on.seek(this.second(next));
      if (!item) return;
      moved = withEdge(item.segment, edge, second);
      this.place(bar, moved);
    };
    const end = (done) => {
      this.inner.removeEventListener("pointermove", follow);
      this.inner.removeEventListener("pointerup", let_go);
      this.inner.removeEventListener("pointercancel", give_up);
      if (item && done && keyOf(moved) !== keyOf(stated(item.segment))) this.on.move(item, moved);
      else if (item) this.place(bar, item.segment);
    };
    const let_go = () => end(true);
    const give_up = () => end(false);
    if (!item) follow(event);
    this.inner.setPointerCapture(event.pointerId);
    this.inner.addEventListener("pointermove", follow);
    this.inner.addEventListener("pointerup", let_go);
    this.inner.addEventListener("pointercancel", give_up);
  }

  at(second) {
    this.head.style.left = `${(100 * second) / this.video.duration}%`;
    const x = (this.inner.clientWidth * second) / this.video.duration;
    const { scrollLeft, clientWidth } = this.scroll;
    if (x < scrollLeft || x > scrollLeft + clientWidth) this.scroll.scrollLeft = x - clientWidth / 4;
  }

  turned(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8, this.second(event));
  }

  // Magnify around a second, up to 200 pixels for a frame.
  zoomBy(factor, second) {
    const width = this.scroll.clientWidth;
    const most = Math.min(1e7, 200 * this.video.fps * this.video.duration) / width;
    const before = (this.inner.clientWidth * second) / this.video.duration - this.scroll.scrollLeft;
    this.zoom = Math.max(1, Math.min(most, this.zoom * factor));
    this.inner.style.width = `${100 * this.zoom}%`;
    this.scroll.scrollLeft = (this.inner.clientWidth * second) / this.video.duration - before;
    this.drawTicks();
  }

  drawTicks() {
    if (!this.video) return;
    const perSecond = this.inner.clientWidth / this.video.duration;
    const step = TICKS.find((tick) => tick * perSecond >= 90) ?? TICKS.at(-1);
    const first = Math.floor(this.scroll.scrollLeft / perSecond / step);
    const last = Math.ceil((this.scroll.scrollLeft + this.scroll.clientWidth) / perSecond / step);
    this.ruler.replaceChildren();
    for (let tick = first; tick <= Math.min(last, this.video.duration / step); tick++) {
      const mark = made("span", { textContent: clock(tick * step) }, this.ruler);
      mark.style.left = `${(100 * tick * step) / this.video.duration}%`;
    }
  }
}

// A segment with an edge at another second; an edge cannot pass the other one.
function withEdge({ label, start, end }, edge, second) {
  const there = milliseconds(second);
  return edge === "start"
    ? { label, start: Math.min(there, milliseconds(end - EDGE)), end }
    : { label, start, end: Math.max(there, milliseconds(start + EDGE)) };
}
