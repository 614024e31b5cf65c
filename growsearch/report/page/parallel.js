// How do all objectives trade against each other? One line a network, better is higher.
const LANES = { height: 262, top: 50, bottom: 26, side: 52 };

class Parallel {
  constructor(host, onSelect, onBrush) {
    this.host = host;
    this.onSelect = onSelect;
    const more = ["macs", "parameters", "training_macs"];
    this.names = DATA.metrics.filter((metric) => metric.objective || more.includes(metric.name))
      .map((metric) => metric.name).filter((name) => this.range(name) !== null);
    byId("parallel").hidden = this.names.length < 3;
    if (this.names.length < 3) return;
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.overlay = svg("svg", { role: "group", "aria-label": "Every network over all objectives" });
    host.replaceChildren(this.canvas, this.overlay);
    this.brushes = new Brushes(this, () => {
      this.draw();
      byId("parallel-note").replaceChildren(...this.brushes.note(this.lines));
      onBrush(this.brushes.limits.size ? (index) => this.brushes.inside(index) : null);
    });
    new ResizeObserver(() => this.draw()).observe(host);
  }

  range(name) {
    const values = TRIALS.values[name].filter((value) => value !== null);
    const [low, high] = minmax(values);
    if (!(high > low)) return null;
    const log = prefersLog(name);
    return { low: log ? Math.log10(low) : low, high: log ? Math.log10(high) : high, log };
  }

  // From 0, the worst, to 1, the best.
  share(name, index) {
    const { low, high, log } = this.ranges.get(name);
    const value = valueOf(index, name);
    const at = ((log ? Math.log10(value) : value) - low) / (high - low);
    return signOf(name) < 0 ? at : 1 - at;
  }

  show(selected) {
    this.selected = selected;
    if (this.names.length >= 3) this.draw();
  }

  draw() {
    const width = this.host.clientWidth;
    if (width < 50) return;
    this.ranges = new Map(this.names.map((name) => [name, this.range(name)]));
    const step = (width - 2 * LANES.side) / (this.names.length - 1);
    this.at = this.names.map((_, lane) => LANES.side + lane * step);
    this.lines = TRIALS.id.map((_, index) => index)
      .filter((index) => this.names.every((name) => valueOf(index, name) !== null));
    this.drawLines(width);
    this.drawAxes(width);
  }

  pixels(index) {
    const span = LANES.height - LANES.top - LANES.bottom;
    return this.names.map((name, lane) =>
      [this.at[lane], LANES.height - LANES.bottom - span * this.share(name, index)]);
  }

  drawLines(width) {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(LANES.height * ratio);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const colours = new Map(KINDS.map((kind) => [kind, style.getPropertyValue(lookOf(kind).colour)]));
    const front = new Set(DATA.front);
    const crowd = Math.min(0.22, 25 / this.lines.length + 0.03);
    const stroke = (index, alpha, thickness) => {
      const inside = this.brushes.inside(index);
      context.globalAlpha = inside ? alpha : Math.min(alpha, 0.06);
      context.lineWidth = thickness;
      context.strokeStyle = TRIALS.feasible[index] && inside
        ? colours.get(TRIALS.kind[index]) : style.getPropertyValue("--off");
      context.beginPath();
      this.pixels(index).forEach(([x, y], place) => (place ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.stroke();
    };
    this.lines.filter((index) => !front.has(index)).forEach((index) => stroke(index, crowd, 1));
    this.lines.filter((index) => front.has(index)).forEach((index) => stroke(index, 0.75, 1.4));
  }

  drawAxes(width) {
    const parts = [];
    this.names.forEach((name, lane) => {
      const metric = METRICS.get(name), x = this.at[lane], device = deviceOf(name);
      const words = metric.title.replace(/ \(.*/, "").split(" ");
      const [low, high] = minmax(TRIALS.values[name].filter((value) => value !== null));
      const [best, worst] = signOf(name) < 0 ? [high, low] : [low, high];
      const anchor = lane === 0 ? "start" : lane === this.names.length - 1 ? "end" : "middle";
      const edge = lane === 0 ? x - LANES.side + 4 : lane === this.names.length - 1 ? x + LANES.side - 4 : x;
      parts.push(
        this.axis(name, x),
        svg("text", { class: "title", x: edge, y: 12, "text-anchor": anchor }, device ? "Latency" : words[0]),
        svg("text", { class: "title", x: edge, y: 27, "text-anchor": anchor }, device || words.slice(1).join(" ")),
        svg("text", { x: edge, y: 43, "text-anchor": anchor }, formatValue(best, metric)),
        svg("text", { x: edge, y: LANES.height - 8, "text-anchor": anchor }, formatValue(worst, metric)),
      );
    });
    if (this.lines.includes(this.selected)) {
      parts.push(svg("path", { class: "chosen", d: pathOf(this.pixels(this.selected)) }));
    }
    this.overlay.setAttribute("viewBox", `0 0 ${width} ${LANES.height}`);
    // Limits that are moved by key keep the focus on their axis.
    const at = [...this.overlay.querySelectorAll(".lane")].indexOf(document.activeElement);
    this.overlay.replaceChildren(...parts);
    if (at >= 0) this.overlay.querySelectorAll(".lane")[at].focus({ preventScroll: true });
  }

  axis(name, x) {
    const bottom = LANES.height - LANES.bottom, span = bottom - LANES.top;
    const limits = this.brushes.limits.get(name);
    const [low, high] = limits || [0, 1];
    return svg("g", {
      class: "lane", tabindex: 0, role: "slider", "aria-orientation": "vertical",
      "aria-label": `Limits of ${METRICS.get(name).title}`, "aria-valuemin": 0, "aria-valuemax": 100,
      "aria-valuenow": Math.round(100 * low), "aria-valuetext": this.brushes.said(name),
      onkeydown: (event) => this.brushes.key(event, name),
    }, svg("line", { class: "axis", x1: x, x2: x, y1: LANES.top, y2: bottom }),
    svg("rect", { class: limits ? "limits" : "limits none", x: x - 6, width: 12,
      y: bottom - high * span, height: Math.max(2, (high - low) * span) }));
  }

  // The network whose line passes nearest; members of the front win over their neighbours.
  pick(event) {
    const box = this.host.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const lane = Math.min(this.at.length - 2, Math.max(0, this.at.findIndex((at) => at > x) - 1));
    const along = (x - this.at[lane]) / (this.at[lane + 1] - this.at[lane]);
    const front = new Set(DATA.front);
    let best = null, least = 14;
    for (const index of this.lines) {
      const points = this.pixels(index);
      const at = points[lane][1] + along * (points[lane + 1][1] - points[lane][1]);
      const distance = Math.abs(at - y) + (front.has(index) ? 0 : 5);
      if (distance < least) [best, least] = [index, distance];
    }
    if (best !== null) this.onSelect(best);
  }
}
