// Which networks lie between the limits that were drawn on the axes of all objectives? A limit is a
// share of an axis, from 0, the worst value, to 1, the best.
const NEAR_AXIS = 16, KEY_STEP = 0.05, LEAST_DRAG = 4;

class Brushes {
  constructor(parallel, onChange) {
    this.parallel = parallel;
    this.onChange = onChange;
    this.limits = new Map();
    this.drag = null;
    const { host } = parallel;
    host.addEventListener("pointerdown", (event) => this.begin(event));
    host.addEventListener("pointermove", (event) => this.move(event));
    host.addEventListener("pointerup", (event) => this.end(event));
    host.addEventListener("pointercancel", (event) => {
      if (event.pointerId === this.drag?.pointer) this.drag = null;
    });
  }

  // What has no line, since it lacks a value, is inside no limits.
  inside(index) {
    if (this.limits.size && this.parallel.names.some((name) => valueOf(index, name) === null)) return false;
    return [...this.limits].every(([name, [low, high]]) => {
      const share = this.parallel.share(name, index);
      return share >= low - 1e-9 && share <= high + 1e-9;
    });
  }

  // Where a pointer is: the axis that it is on, if any, and its share of it.
  place(event) {
    const box = this.parallel.host.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const lane = this.parallel.at.findIndex((at) => Math.abs(at - x) <= NEAR_AXIS);
    const span = LANES.height - LANES.top - LANES.bottom;
    const share = (LANES.height - LANES.bottom - y) / span;
    return { name: lane < 0 ? null : this.parallel.names[lane], share: Math.min(1, Math.max(0, share)), y };
  }

  begin(event) {
    const { name, share, y } = this.place(event);
    // A second finger is none that draws.
    if (name === null || event.button !== 0 || !event.isPrimary) return;
    this.drag = { name, from: share, y, moved: false, pointer: event.pointerId };
    this.parallel.host.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (event.pointerId !== this.drag?.pointer) return;
    const { share, y } = this.place(event);
    this.drag.moved ||= Math.abs(y - this.drag.y) >= LEAST_DRAG;
    if (this.drag.moved) this.set(this.drag.name, Math.min(this.drag.from, share), Math.max(this.drag.from, share));
  }

  // A drag has set limits; a click on an axis with limits takes them off, any other picks a line.
  end(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    const { drag } = this;
    this.drag = null;
    if (drag !== null && (drag.moved || this.limits.has(drag.name))) {
      if (!drag.moved) this.clear(drag.name);
      return;
    }
    this.parallel.pick(event);
  }

  set(name, low, high) {
    if (low <= 0 && high >= 1) this.limits.delete(name);
    else this.limits.set(name, [low, high]);
    this.onChange();
  }

  clear(name) {
    if (name === undefined) this.limits.clear();
    else this.limits.delete(name);
    this.onChange();
  }

  // Arrows move the lower limit, with Shift the upper one; Escape takes both off.
  key(event, name) {
    const step = { ArrowUp: KEY_STEP, ArrowDown: -KEY_STEP }[event.key];
    if (event.key === "Escape") this.clear(name);
    else if (!step) return;
    else {
      const [low, high] = this.limits.get(name) || [0, 1];
      if (event.shiftKey) this.set(name, low, Math.min(1, Math.max(low, high + step)));
      else this.set(name, Math.max(0, Math.min(high, low + step)), high);
    }
    event.preventDefault();
  }

  // The limits of an axis as values, the better one last: "96 % to 99 %".
  said(name) {
    const { low, high, log } = this.parallel.ranges.get(name);
    const values = (this.limits.get(name) || [0, 1]).map((share) => {
      const at = low + (signOf(name) < 0 ? share : 1 - share) * (high - low);
      return formatValue(log ? 10 ** at : at, METRICS.get(name));
    });
    return values.join(" to ");
  }

  // Which networks are inside, in words, and the way back.
  note(lines) {
    if (!this.limits.size) return [];
    const count = lines.filter((index) => this.inside(index)).length;
    const said = [...this.limits.keys()].map((name) => `${METRICS.get(name).title} ${this.said(name)}`);
    return [`${count} of ${lines.length} networks lie inside ${said.join(", ")}; the table leaves the others out. `,
      el("button", { type: "button", class: "quiet", onclick: () => this.leave() }, "Take the limits off")];
  }

  // The button goes with the limits, so that the keys go on at the first axis.
  leave() {
    this.clear();
    this.parallel.overlay.querySelector(".lane").focus({ preventScroll: true });
  }
}
