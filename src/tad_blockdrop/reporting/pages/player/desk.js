// Brings together the list of videos, the screen, the timeline, the corrections and the keys.

class Desk {
  constructor(data) {
    this.data = data;
    this.kinds = new Map(data.classes.map((kind) => [kind.name, kind]));
    this.limits = new Map(data.classes.map((kind) => [kind.name, kind.threshold]));
    this.saving = new (data.served ? Served : InBrowser)(data, (text, bad) => this.tell(text, bad));
    this.saving.load(data.videos);
    this.timeline = new Timeline({
      select: (item) => this.select(item, true),
      move: (item, segment) => this.change(item, segment),
      seek: (second) => this.screen.stand(second),
    });
    this.screen = new Screen((second) => this.moved(second));
    this.makeControls();
    this.makeLimits();
    this.makeKeys();
    this.buttons = data.videos.map((video) => this.listed(video));
    document.getElementById("desk").hidden = false;
    addEventListener("beforeunload", (event) => { if (this.saving.unsaved) event.preventDefault(); });
    addEventListener("hashchange", () => this.follow());
    if (!this.follow()) this.show(data.videos[0]);
  }

  // Go to #video=<id>&t=<seconds>, which other pages may link to.
  follow() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const video = this.data.videos.find((one) => one.id === wanted.get("video"));
    if (video) this.show(video);
    if (video && Number(wanted.get("t"))) this.screen.stand(Number(wanted.get("t")));
    return Boolean(video);
  }

  // --- what is shown -----------------------------------------------------------------------------

  show(video) {
    this.video = video;
    this.item = null;
    document.getElementById("name").textContent = video.id;
    this.timeline.show(video);
    this.refresh();
    this.screen.show(video);
    this.buttons.forEach((button, place) => button.classList.toggle("shown", this.data.videos[place] === video));
    this.button(video).scrollIntoView({ block: "nearest" });
  }

  button(video) { return this.buttons[this.data.videos.indexOf(video)]; }

  // Draw the present video as its corrections have made it.
  refresh() {
    const { video } = this;
    this.state = replay(video);
    const annotated = new Set(video.truth.map(keyOf));
    const truth = [...this.state.truth.values()].map((segment) =>
      ({ segment, true: true, movable: true, state: annotated.has(keyOf(segment)) ? "annotated" : "corrected" }));
    const detections = video.found.filter((s) => s.score >= this.limits.get(s.label)).map((segment) => this.judged(segment));
    this.items = [...truth, ...detections];
    for (const { segment } of this.items) this.know(segment.label);
    const used = new Set(this.items.map((item) => item.segment.label));
    if (this.label.value) used.add(this.label.value);
    this.timeline.draw(this.items, [...this.kinds.values()].filter((kind) => used.has(kind.name)), this.item);
    this.describe(detections.length);
    this.button(video).classList.toggle("finished", this.state.finished);
  }

  judged(segment) {
    const judged = this.state.judged.has(keyOf(segment));
    const state = !judged ? "open" : this.state.judged.get(keyOf(segment)) ? "right" : "wrong";
    return { segment, true: false, movable: !judged, state };
  }

  describe(shown) {
    const { video } = this;
    const parts = [`${clock(video.duration)} long`, `${shown} of ${video.found.length + video.left} detections shown`];
    if (video.left) parts.push(`the strongest ${video.found.length} are on this page`);
    if (!video.found.length && video.strongest) parts.push(`the strongest, score ${video.strongest.toFixed(3)}, is below the threshold`);
    parts.push(video.annotated ? "annotated" : "not annotated");
    if (this.state.finished) parts.push("finished");
    document.getElementById("facts").textContent = parts.join(", ");
  }

  listed(video) {
    const button = made("button", { title: `doubt ${video.doubt}` }, made("li", {}, document.getElementById("videos")));
    made("span", { textContent: video.id }, button);
    made("meter", { value: video.doubt, ariaLabel: "doubt" }, button);
    button.classList.toggle("finished", replay(video).finished);
    button.addEventListener("click", () => { button.blur(); this.show(video); });
    return button;
  }

  moved(second) {
    this.time.textContent = clock(second);
    this.timeline.at(second);
  }

  tell(text, bad) {
    const said = document.getElementById("said");
    said.textContent = text;
    said.classList.toggle("bad", bad);
    if (bad && this.video) this.refresh();
    if (bad && this.item?.true && !this.state.truth.has(keyOf(this.item.segment))) this.select(null);
    this.again.hidden = !(this.data.served && this.saving.unsaved);
  }

  // A class that an earlier correction named and the model does not know.
  know(label) {
    if (this.kinds.has(label)) return;
    this.kinds.set(label, { name: label, colour: "#808080", pattern: "", threshold: 0 });
    this.limits.set(label, 0);
    made("option", { value: label, textContent: label }, this.label);
  }

  // --- corrections -------------------------------------------------------------------------------

  select(item, go = false) {
    this.item = item;
    this.timeline.select(item);
    this.start.disabled = this.end.disabled = !item?.movable;
    this.start.value = this.end.value = "";
    if (!item) return;
    this.label.value = item.segment.label;
    this.start.value = item.segment.start;
    this.end.value = item.segment.end;
    if (go) this.screen.stand(item.segment.start);
  }

  save(changes, then = null) {
    const entry = { changes };
    this.video.entries.push(entry);
    this.item = then && { segment: then, true: true, movable: true };
    this.refresh();
    this.select(this.item);
    this.keep(entry, then && overlapping(then, this.state));
    return entry;
  }

  async keep(entry, other) {
    const { video } = this;
    await this.saving.add(video, entry);
    if (other && !this.saving.unsaved && video.entries.includes(entry)) this.tell(`Saved. It overlaps ${other.label} from ${clock(other.start)} to ${clock(other.end)}; both are kept.`, false);
  }

  // Make the selected item another segment, or nothing.
  change(item, after) {
    if (!item) this.tell("Select something on the timeline first.", false);
    else if (!item.movable) this.tell("This detection is judged already: change what stands above it, or undo.", false);
    else if (after && item.true && this.state.truth.has(keyOf(after))) {
      if (keyOf(after) !== keyOf(item.segment)) this.tell("There is one like that already.", false);
      this.refresh();
    } else this.save(changed(item, after, this.state), after);
  }

  accept() {
    if (!this.item || this.item.true || !this.item.movable) return this.tell("Select a detection that is not judged yet.", false);
    const change = accepted(this.item.segment, this.state);
    const entry = this.save([change], change.truth);
    if (this.video.entries.includes(entry)) this.next(1); // else it was refused
    return undefined;
  }

  // What is still shown is right, and there is nothing else.
  finish() {
    const open = this.items.filter((item) => !item.true && item.movable);
    const changes = [];
    const state = replay(this.video);
    for (const item of open) {
      changes.push(accepted(item.segment, state));
      apply(state, changes.at(-1));
    }
    this.save([...changes, { kind: "finish", finished: true }]);
  }

  add() {
    const start = this.screen.second;
    const end = milliseconds(Math.min(this.video.duration, start + 1));
    const segment = { label: this.label.value, start: milliseconds(Math.max(0, end === start ? start - 1 : start)), end };
    if (this.state.truth.has(keyOf(segment))) this.tell("There is one like that already.", false);
    else this.save([{ kind: "edit", before: null, after: segment }], segment);
  }

  edge(name, second) {
    if (this.item) this.change(this.item, withEdge(this.item.segment, name, Math.min(second, this.video.duration)));
    else this.tell("Select something on the timeline first.", false);
  }

  relabel(label) {
    if (this.item?.movable) this.change(this.item, { ...stated(this.item.segment), label });
    else this.refresh();
  }

  undo() {
    const entry = this.video.entries.pop();
    if (!entry) return this.tell("Nothing to undo in this video.", false);
    this.item = null;
    this.refresh();
    this.select(null);
    return this.saving.undo(this.video, entry);
  }

  // The next item in time that is not judged, or the one before.
  next(direction) {
    const open = this.items.filter((item) => !item.true && item.movable)
      .sort((a, b) => a.segment.start - b.segment.start || a.segment.end - b.segment.end);
    const place = open.findIndex((item) => this.item && keyOf(item.segment) === keyOf(this.item.segment));
    const now = this.item?.segment.start ?? this.screen.second;
    const after = direction > 0
      ? open.find((item, i) => (place >= 0 ? i > place : item.segment.start >= now))
      : open.findLast((item, i) => (place >= 0 ? i < place : item.segment.start <= now));
    if (after) this.select(after, true);
    else this.tell(direction > 0 ? "No open detection comes after this." : "None comes before this.", false);
  }

  neighbour(direction) {
    const video = this.data.videos[this.data.videos.indexOf(this.video) + direction];
    if (video) this.show(video);
  }
}
