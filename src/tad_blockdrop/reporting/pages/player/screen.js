// The video: plays, and stands at frames. It is drawn from where the page says it is.

const SPEEDS = [0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 4, 8];

class Screen {
  // ``moved`` is called with the second whenever that changes.
  constructor(moved) {
    this.moved = moved;
    this.element = document.getElementById("video");
    this.missing = document.getElementById("missing");
    this.chosen = new Map(); // files that the reader has pointed to, by video
    this.element.addEventListener("error", () => this.ask());
    this.element.addEventListener("playing", () => this.follow());
    this.element.addEventListener("ended", () => this.stand(this.video.duration));
  }

  show(video) {
    this.video = video;
    this.pause();
    this.missing.hidden = true;
    const source = this.chosen.get(video) ?? video.source;
    if (source) this.element.src = source;
    else this.ask();
    this.element.playbackRate = 1;
    this.stand(0);
  }

  // The file is not where it was, or of a kind that this browser does not play.
  ask() {
    const { video } = this;
    this.missing.hidden = false;
    this.missing.replaceChildren(`This browser cannot play ${video.path}. If you have the video elsewhere, choose it: `);
    const input = made("input", { type: "file", accept: "video/*" }, this.missing);
    input.addEventListener("change", () => {
      if (!input.files.length) return;
      this.chosen.set(video, URL.createObjectURL(input.files[0]));
      this.show(video);
    });
  }

  get playing() { return !this.element.paused && !this.element.ended; }

  toggle() {
    if (this.playing) this.pause();
    else this.element.play().catch((error) => { if (error.name !== "AbortError") this.ask(); });
  }

  pause() { this.element.pause(); }

  follow() {
    if (!this.playing) {
      this.stand(this.element.currentTime);
      return;
    }
    this.second = this.element.currentTime;
    this.moved(this.second);
    requestAnimationFrame(() => this.follow());
  }

  // The beginning of the frame that is nearest to a second.
  snapped(second) {
    const { start, fps, duration } = this.video;
    const frame = start + Math.round((second - start) * fps) / fps;
    return milliseconds(Math.min(duration, Math.max(0, frame)));
  }

  // Stand at the frame nearest to a second, which is returned.
  stand(second) {
    this.second = this.snapped(second);
    // A little into the frame, lest rounding shows the one before.
    if (this.element.src) this.element.currentTime = this.second + 0.0015;
    this.moved(this.second);
    return this.second;
  }

  jump(seconds) { this.stand(this.second + seconds); }

  step(frames) {
    this.pause();
    this.jump(frames / this.video.fps);
  }

  speed(change) {
    const now = SPEEDS.indexOf(this.element.playbackRate);
    this.element.playbackRate = change ? SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, now + change))] : 1;
    return this.element.playbackRate;
  }
}
