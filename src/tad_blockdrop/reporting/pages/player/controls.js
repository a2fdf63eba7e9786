// The buttons below the screen and the timeline, and the keys: those of BORIS, ELAN and YouTube.

Object.assign(Desk.prototype, {
  makeControls() {
    const controls = document.getElementById("controls");
    const button = (parent, textContent, title, act) => {
      const element = made("button", { type: "button", textContent, title }, parent);
      element.addEventListener("click", () => { element.blur(); act(); });
      return element;
    };
    button(controls, "Play / pause", "space", () => this.screen.toggle());
    button(controls, "− frame", "←", () => this.screen.step(-1));
    button(controls, "+ frame", "→", () => this.screen.step(1));
    this.time = made("output", {}, controls);
    button(controls, "Zoom −", "-", () => this.zoom(0.5));
    button(controls, "Zoom +", "+", () => this.zoom(2));
    const edit = document.getElementById("edit");
    this.label = made("select", { title: "class of what is selected, or of what you add (C)" }, edit);
    for (const kind of this.data.classes) made("option", { value: kind.name, textContent: kind.name }, this.label);
    this.label.addEventListener("change", () => { this.label.blur(); this.relabel(this.label.value); });
    for (const name of ["start", "end"]) {
      this[name] = made("input", { type: "number", step: "any", min: 0, disabled: true, title: `${name}, s`, placeholder: `${name}, s` }, edit);
      this[name].addEventListener("change", () => this.edge(name, Number(this[name].value)));
    }
    button(edit, "Accept", "the selected detection is right (Enter)", () => this.accept());
    button(edit, "Delete", "nothing is there (Delete)", () => this.change(this.item, null));
    button(edit, "Add", "add an action of this class here (A)", () => this.add());
    button(edit, "Undo", "take the last correction of this video back (Ctrl+Z)", () => this.undo());
    button(edit, "Accept the rest and finish", "all that is shown is right, and there is nothing else (Shift+Enter)", () => this.finish());
    const saving = document.getElementById("saving");
    this.again = button(saving, "Try again", "send what is not saved", () => this.saving.send());
    this.again.hidden = true;
    const kept = () => this.kept();
    button(saving, "Download (JSON)", "annotations of finished and of annotated videos", () => this.download("json", asActivityNet(kept(), this.data)));
    button(saving, "Download (CSV)", "the same as a table", () => this.download("csv", asCSV(kept())));
  },

  // What a download holds: every video that was corrected.
  kept() {
    if (!this.data.served) return this.saving.kept;
    return new Map(this.data.videos.filter((video) => video.entries.length).map((video) => {
      const state = replay(video);
      return [video.key, { ...video, truth: [...state.truth.values()], finished: state.finished }];
    }));
  },

  download(ending, text) {
    const kept = this.kept();
    if (!kept.size) return this.tell("Nothing is corrected yet.", false);
    download(`corrections.${ending}`, text);
    const whole = complete(kept).length;
    const left = kept.size - whole;
    this.tell(`${whole} videos downloaded` + (left ? `; ${left} left out, which are neither annotated nor finished.` : "."), false);
    if (!this.data.served) this.saving.unsaved = 0;
    return undefined;
  },

  makeLimits() {
    const limits = document.getElementById("limits");
    for (const kind of this.data.classes.filter((one) => this.data.videos.some((v) => v.found.some((s) => s.label === one.name)))) {
      const row = made("label", { textContent: kind.name }, limits);
      const slider = made("input", { type: "range", min: 0, max: 1, step: 0.01, value: kind.threshold }, row);
      const value = made("output", { textContent: kind.threshold.toFixed(2) }, row);
      slider.addEventListener("input", () => {
        value.textContent = Number(slider.value).toFixed(2);
        this.limits.set(kind.name, Number(slider.value));
        this.refresh();
      });
    }
  },

  zoom(factor) { this.timeline.zoomBy(factor, this.screen.second); },

  speed(change) { this.tell(`Speed ${this.screen.speed(change)} ×`, false); },

  makeKeys() {
    const step = (frames) => () => this.screen.step(frames);
    const jump = (seconds) => () => this.screen.jump(seconds);
    // What it does, the keys that do it, and how.
    const keys = [
      ["play or pause", [" ", "k", "Ctrl+ "], () => this.screen.toggle()],
      ["a frame back", ["ArrowLeft", "Ctrl+ArrowLeft", ",", "/"], step(-1)],
      ["a frame on", ["ArrowRight", "Ctrl+ArrowRight", ".", "*"], step(1)],
      ["a second back", ["Shift+ArrowLeft"], jump(-1)],
      ["a second on", ["Shift+ArrowRight"], jump(1)],
      ["10 seconds back", ["ArrowDown", "j"], jump(-10)],
      ["10 seconds on", ["ArrowUp", "l"], jump(10)],
      ["slower", ["<", "End"], () => this.speed(-1)],
      ["faster", [">", "Home"], () => this.speed(1)],
      ["usual speed", ["Backspace"], () => this.speed(0)],
      ["closer", ["+", "="], () => this.zoom(2)],
      ["see more", ["-"], () => this.zoom(0.5)],
      ["next open detection", ["n", "Alt+ArrowRight"], () => this.next(1)],
      ["the one before", ["p", "Alt+ArrowLeft"], () => this.next(-1)],
      ["next video", ["PageUp"], () => this.neighbour(1)],
      ["the video before", ["PageDown"], () => this.neighbour(-1)],
      ["accept", ["Enter"], () => this.accept()],
      ["accept the rest and finish", ["Shift+Enter"], () => this.finish()],
      ["delete", ["Delete", "x", "Alt+d"], () => this.change(this.item, null)],
      ["start here", ["i", "["], () => this.edge("start", this.screen.second)],
      ["end here", ["o", "]"], () => this.edge("end", this.screen.second)],
      ["choose the class", ["c"], () => this.label.focus()],
      ["add here", ["a", "Alt+n"], () => this.add()],
      ["undo", ["Ctrl+z", "u"], () => this.undo()],
      ["select nothing", ["Escape"], () => this.select(null)],
    ];
    const actions = new Map(keys.flatMap(([, names, act]) => names.map((name) => [name, act])));
    document.addEventListener("keydown", (event) => {
      if (event.target.closest("input, select, textarea, summary")) return;
      const name = keyName(event);
      const act = actions.get(name);
      const own = event.target.closest("button, a") && ["Enter", " "].includes(name); // it is pressed
      if (!act || own) return;
      event.preventDefault();
      act();
    });
    const list = document.getElementById("keys");
    const shown = (name) => name.replace(/ $/, "space").replace("Arrow", "");
    for (const [what, names] of keys) {
      made("dt", { textContent: names.map(shown).join("  ") }, list);
      made("dd", { textContent: what }, list);
    }
  },
});

// "Ctrl+z", "Shift+ArrowLeft", "<": Shift counts only where it does not make another character.
function keyName(event) {
  const character = event.key.length === 1;
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && !character) parts.push("Shift");
  return [...parts, character ? event.key.toLowerCase() : event.key].join("+");
}

const desk = new Desk(JSON.parse(document.getElementById("data").textContent));
