// Keeps corrections: on the server that gave the page, or in the browser until they are downloaded.

class Served {
  constructor(data, tell) {
    this.tell = tell;
    this.waiting = []; // corrections that the server has not confirmed, in order
    this.sending = false;
  }

  load() {}

  add(video, entry) {
    this.waiting.push({ video, entry });
    return this.send();
  }

  undo(video, entry) {
    this.waiting.push({ video, undoes: entry });
    return this.send();
  }

  get unsaved() { return this.waiting.length; }

  async send() {
    if (this.sending) return;
    this.sending = true;
    try {
      while (this.waiting.length) {
        const { video, entry, undoes } = this.waiting[0];
        const body = undoes ? { video: video.key, undoes: undoes.number } : { video: video.key, changes: entry.changes };
        const answer = await fetch("corrections", {
          method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
        });
        const said = await answer.json();
        if (answer.status === 409 || answer.status === 422) {
          this.waiting = this.waiting.filter((other) => other.video !== video);
          video.entries = said.entries;
          this.tell(`Not saved: ${said.error}`, true);
        } else if (!answer.ok) {
          throw new Error(said.error);
        } else {
          if (entry) entry.number = said.number;
          this.waiting.shift();
          this.tell("Saved.", false);
        }
      }
    } catch (error) {
      this.tell(`Not saved, ${this.waiting.length} waiting: ${error.message}. Is "kedro review" still running? ` +
                "Try again, or download them.", true);
    } finally {
      this.sending = false;
    }
  }
}

class InBrowser {
  constructor(data, tell) {
    this.tell = tell;
    this.name = `corrections of ${data.predictions}`;
    this.unsaved = 0; // corrections that only this page has, since the last download
    this.seen = new Map(); // by video: its corrections as this page last saw them kept, as text
  }

  // All videos that were corrected on any page of these predictions, by their key. Once the browser
  // has refused to keep more, what this page holds is newer than what is kept.
  get kept() {
    if (this.memory) return this.memory;
    try {
      return new Map(JSON.parse(localStorage.getItem(this.name)) ?? []);
    } catch {
      return new Map();
    }
  }

  load(videos) {
    const kept = this.kept;
    for (const video of videos) {
      video.entries = kept.get(video.key)?.entries ?? video.entries;
      this.seen.set(video, JSON.stringify(video.entries));
    }
  }

  add(video, entry) {
    if (this.overtaken(video)) return;
    entry.number = 1 + Math.max(0, ...video.entries.map((other) => other.number ?? 0));
    entry.time = new Date().toISOString();
    this.keep(video);
  }

  undo(video) {
    if (!this.overtaken(video)) this.keep(video);
  }

  // Whether another tab has corrected the video meanwhile: then what that has kept is shown.
  overtaken(video) {
    const entries = this.kept.get(video.key)?.entries;
    if (!entries || JSON.stringify(entries) === this.seen.get(video)) return false;
    video.entries = [...entries];
    this.seen.set(video, JSON.stringify(entries));
    this.tell("Not saved: this video was corrected in another tab; look at it as it is now, and do it again.", true);
    return true;
  }

  keep(video) {
    const state = replay(video);
    const kept = this.kept;
    kept.set(video.key, {
      entries: [...video.entries], truth: [...state.truth.values()], finished: state.finished,
      annotated: video.annotated, duration: video.duration,
    });
    this.seen.set(video, JSON.stringify(video.entries));
    if (!this.memory && this.stored(kept)) {
      this.tell("Kept in this browser. Download your corrections to use them.", false);
    } else {
      this.memory = kept;
      this.unsaved += 1;
      this.tell("This browser keeps nothing: download your corrections before you close the page.", true);
    }
  }

  // Whether the browser has taken them.
  stored(kept) {
    try {
      localStorage.setItem(this.name, JSON.stringify([...kept]));
      return true;
    } catch {
      return false;
    }
  }
}

// Videos that are finished, or were annotated before: of others the rest is not known.
function complete(kept) {
  return [...kept].filter(([, video]) => video.finished || video.annotated);
}

function asActivityNet(kept, data) {
  const names = data.classes.map((kind) => kind.name);
  const database = Object.fromEntries(complete(kept).map(([key, video]) => [key, {
    subset: "training",
    duration: video.duration,
    annotations: video.truth.map((segment) => ({
      label: segment.label, label_id: names.indexOf(segment.label), segment: [segment.start, segment.end],
    })),
  }]));
  const entries = [...kept].map(([video, own]) => ({ video, entries: own.entries }));
  return JSON.stringify({ database, corrections: { model: data.model, predictions: data.predictions, entries } }, null, 1);
}

function asCSV(kept) {
  const guarded = (text) => text.replace(/^(?='*[=+\-@\t\r\n])/, "'"); // no formula in a spreadsheet
  const cell = (text) => `"${guarded(text).replaceAll('"', '""')}"`;
  const rows = complete(kept).flatMap(([key, video]) => video.truth.length
    ? video.truth.map((s) => [cell(key), s.start, s.end, cell(s.label), "training"])
    : [[cell(key), "", "", "", "training"]]);
  return ["video,start,end,label,subset", ...rows.map((row) => row.join(","))].join("\n") + "\n";
}

function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
