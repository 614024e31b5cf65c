// What does the scatter show? Every finished trial on two axes, a third metric as its size, and the
// front of these.
const MARGIN = { left: 66, right: 18, top: 16, bottom: 50 };
const HIT_PIXELS = 16;
// How large points are drawn, from the worst value of a third metric to the best.
const RADII = [2.2, 8.5];

// The ten corners of a star.
function starAt(x, y, r) {
  return Array.from({ length: 10 }, (_, corner) => {
    const reach = corner % 2 ? r * 0.45 : r, angle = Math.PI * (corner / 5 - 0.5);
    return [x + reach * Math.cos(angle), y + reach * Math.sin(angle)];
  });
}

function tracePath(context, shape, x, y, r) {
  context.beginPath();
  if (shape === "circle") context.arc(x, y, r, 0, 2 * Math.PI);
  else if (shape === "square") context.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
  else if (shape === "star") {
    starAt(x, y, r * 1.5).forEach(([px, py], place) => (place ? context.lineTo(px, py) : context.moveTo(px, py)));
    context.closePath();
  } else {
    const corners = shape === "triangle"
      ? [[0, -1.2], [1.12, 0.8], [-1.12, 0.8]]
      : [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]];
    corners.forEach(([dx, dy], place) => {
      if (place) context.lineTo(x + r * dx, y + r * dy);
      else context.moveTo(x + r * dx, y + r * dy);
    });
    context.closePath();
  }
}

class Scatter {
  constructor(host, onSelect, onPoint) {
    this.host = host;
    this.onSelect = onSelect;
    this.onPoint = onPoint;
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.overlay = svg("svg", { "aria-hidden": "true" });
    this.tip = el("div", { class: "tip", hidden: true });
    host.replaceChildren(this.canvas, this.overlay, this.tip);
    host.addEventListener("pointermove", (event) => this.hover(this.nearest(event)));
    host.addEventListener("pointerleave", () => this.hover(null));
    host.addEventListener("click", (event) => {
      const index = this.nearest(event);
      if (index !== null) onSelect(index);
    });
    host.addEventListener("keydown", (event) => this.walk(event));
    host.addEventListener("blur", () => this.hover(null));
    new ResizeObserver(() => this.draw()).observe(host);
  }

  show(view) {
    this.view = view;
    this.front = view.z ? frontOfThree([view.x, view.y, view.z]) : frontOf(view.x, view.y);
    this.draw();
  }

  draw() {
    const width = this.host.clientWidth, height = this.host.clientHeight;
    if (!this.view || width < 50) return;
    this.size = { width, height };
    this.overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.place();
    this.drawPoints();
    this.drawOverlay();
  }

  place() {
    const { x, y, z, logX, logY } = this.view;
    const { width, height } = this.size;
    const shown = TRIALS.id.map((_, index) => index)
      .filter((index) => [x, y, z].every((name) => !name || valueOf(index, name) !== null));
    this.points = [];
    if (!shown.length) return;
    this.axisX = makeAxis(METRICS.get(x), shown.map((index) => valueOf(index, x)),
      { start: MARGIN.left, end: width - MARGIN.right, log: logX, count: width < 500 ? 4 : 7 });
    this.axisY = makeAxis(METRICS.get(y), shown.map((index) => valueOf(index, y)),
      { start: height - MARGIN.bottom, end: MARGIN.top, log: logY, count: 6 });
    this.points = shown.map((index) => ({
      index, px: this.axisX.at(valueOf(index, x)), py: this.axisY.at(valueOf(index, y)),
    }));
    this.pixels = new Map(this.points.map((point) => [point.index, point]));
    this.radiusOf = z ? this.sizes(shown, z) : null;
  }

  // Better is larger; factors are seen as such where the third metric spans more than a decade.
  sizes(shown, name) {
    const scale = prefersLog(name) ? Math.log : (value) => value;
    const values = shown.map((index) => -signOf(name) * scale(valueOf(index, name)));
    const [low, high] = minmax(values);
    const share = (value) => (high > low ? (value - low) / (high - low) : 1);
    const radii = new Map(shown.map((index, place) =>
      [index, RADII[0] + share(values[place]) * (RADII[1] - RADII[0])]));
    return (index) => radii.get(index);
  }

  drawPoints() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.size.width * ratio);
    this.canvas.height = Math.round(this.size.height * ratio);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const colours = new Map(KINDS.map((kind) => [kind, style.getPropertyValue(lookOf(kind).colour)]));
    const stars = DATA.baselines.map(([index]) => index).filter((index) => this.pixels.has(index));
    const onFront = new Set([...this.front, ...stars]);
    const crowd = this.points.length > 1500 ? 2.6 : 4.2;
    for (const { index, px, py } of this.points) {
      if (onFront.has(index)) continue;
      context.globalAlpha = 0.38;
      if (TRIALS.feasible[index]) {
        const radius = this.radiusOf ? this.radiusOf(index) : crowd;
        tracePath(context, lookOf(TRIALS.kind[index]).shape, px, py, radius);
        context.fillStyle = colours.get(TRIALS.kind[index]);
        context.fill();
      } else {
        this.drawCross(context, px, py, style.getPropertyValue("--off"));
      }
    }
    context.globalAlpha = 1;
    // Baselines lie on top, whether they are dominated or not.
    for (const index of [...this.front, ...stars]) {
      const { px, py } = this.pixels.get(index);
      const radius = this.radiusOf ? this.radiusOf(index) : 6;
      tracePath(context, lookOf(TRIALS.kind[index]).shape, px, py, radius);
      context.lineWidth = 3;
      context.strokeStyle = style.getPropertyValue("--halo");
      context.stroke();
      context.fillStyle = colours.get(TRIALS.kind[index]);
      context.fill();
    }
  }

  drawCross(context, x, y, colour) {
    context.globalAlpha = 0.8;
    context.strokeStyle = colour;
    context.lineWidth = 1.3;
    context.beginPath();
    context.moveTo(x - 3.2, y - 3.2);
    context.lineTo(x + 3.2, y + 3.2);
    context.moveTo(x - 3.2, y + 3.2);
    context.lineTo(x + 3.2, y - 3.2);
    context.stroke();
  }

  drawOverlay() {
    const { width, height } = this.size;
    const right = width - MARGIN.right, bottom = height - MARGIN.bottom;
    if (!this.points.length) {
      this.overlay.replaceChildren(svg("text", { x: width / 2, y: height / 2, "text-anchor": "middle" },
        "No finished trial has both values yet."));
      return;
    }
    const parts = [];
    for (const tick of this.axisX.ticks) {
      parts.push(svg("line", { class: "gridline", x1: tick.at, x2: tick.at, y1: MARGIN.top, y2: bottom }),
        svg("text", { x: tick.at, y: bottom + 17, "text-anchor": "middle" }, tick.label));
    }
    for (const tick of this.axisY.ticks) {
      parts.push(svg("line", { class: "gridline", x1: MARGIN.left, x2: right, y1: tick.at, y2: tick.at }),
        svg("text", { x: MARGIN.left - 8, y: tick.at + 4, "text-anchor": "end" }, tick.label));
    }
    parts.push(...this.stepLine(right, bottom), ...this.titles(right, bottom), ...this.whiskers(right),
      ...this.starNames(right));
    this.rings = svg("g");
    this.overlay.replaceChildren(...parts, this.rings);
    // The grid lies below the points: the canvas is transparent and comes after it.
    this.host.insertBefore(this.overlay, this.canvas);
    this.ringLayer = this.ringLayer || svg("svg", { "aria-hidden": "true" });
    this.ringLayer.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.host.insertBefore(this.ringLayer, this.tip);
    this.drawRings();
  }

  stepLine(right, bottom) {
    const worstX = signOf(this.view.x) > 0 ? right : MARGIN.left;
    const worstY = signOf(this.view.y) > 0 ? MARGIN.top : bottom;
    const corners = this.front.map((index) => this.pixels.get(index));
    // Three objectives have no line on two axes.
    if (!corners.length || this.view.z) return [];
    let d = `M${corners[0].px} ${worstY}V${corners[0].py}`;
    for (const { px, py } of corners.slice(1)) d += `H${px}V${py}`;
    d += `H${worstX}`;
    return [svg("path", { class: "dominated", d: `${d}V${worstY}Z` }), svg("path", { class: "step", d })];
  }

  titles(right, bottom) {
    const middle = (MARGIN.top + bottom) / 2;
    const betterX = signOf(this.view.x) > 0 ? "← better" : "better →";
    const betterY = signOf(this.view.y) > 0 ? "← better" : "better →";
    return [
      svg("line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }),
      svg("line", { class: "axis", x1: MARGIN.left, x2: MARGIN.left, y1: MARGIN.top, y2: bottom }),
      svg("text", { class: "title", x: (MARGIN.left + right) / 2, y: bottom + 40, "text-anchor": "middle" },
        `${this.axisX.title} `, svg("tspan", { class: "better", dx: 6 }, betterX)),
      svg("text", { class: "title", x: 0, y: 0, "text-anchor": "middle",
        transform: `translate(16 ${middle}) rotate(-90)` },
      `${this.axisY.title} `, svg("tspan", { class: "better", dx: 6 }, betterY)),
    ];
  }

  // The interval of a latency, for members of the front: is a difference more than noise?
  whiskers(right) {
    const inside = (value, low, high) => Math.max(low, Math.min(high, value));
    const bottom = this.size.height - MARGIN.bottom;
    return this.front.flatMap((index) => {
      const { px, py } = this.pixels.get(index);
      return ["x", "y"].flatMap((side) => {
        const column = TRIALS.latency[deviceOf(this.view[side])];
        if (!column || column.low[index] === null || column.high[index] === null) return [];
        const axis = side === "x" ? this.axisX : this.axisY;
        const ends = [axis.at(column.low[index]), axis.at(column.high[index])]
          .map((at) => (side === "x" ? inside(at, MARGIN.left, right) : inside(at, MARGIN.top, bottom)));
        return [svg("line", side === "x"
          ? { class: "whisker", x1: ends[0], x2: ends[1], y1: py, y2: py }
          : { class: "whisker", x1: px, x2: px, y1: ends[0], y2: ends[1] })];
      });
    });
  }

  starNames(right) {
    return DATA.baselines.filter(([index]) => this.pixels.has(index)).map(([index, which]) => {
      const { px, py } = this.pixels.get(index), end = px > right - 70;
      return svg("text", { class: "title", x: px + (end ? -14 : 14), y: py + 4, "text-anchor": end ? "end" : "start" },
        BASELINE_TITLES[which].toLowerCase());
    });
  }

  drawRings() {
    const rings = [];
    const chosen = this.pixels.get(this.view.selected);
    if (chosen) rings.push(svg("circle", { class: "ring", cx: chosen.px, cy: chosen.py, r: 11 }));
    const over = this.pixels.get(this.over);
    if (over && this.over !== this.view.selected) {
      rings.push(svg("circle", { class: "hover-ring", cx: over.px, cy: over.py, r: 10 }));
    }
    this.ringLayer.replaceChildren(...rings);
  }

  nearest(event) {
    const box = this.host.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const onFront = new Set(this.front);
    let best = null, least = HIT_PIXELS ** 2;
    for (const point of this.points || []) {
      // A front member wins over a dominated neighbour that is hardly nearer.
      const handicap = onFront.has(point.index) ? 0 : 25;
      const distance = (point.px - x) ** 2 + (point.py - y) ** 2 + handicap;
      if (distance < least) [best, least] = [point.index, distance];
    }
    return best;
  }

  hover(index) {
    if (!this.points || !this.points.length) return;
    this.over = index;
    this.drawRings();
    this.onPoint(index);
    this.tip.hidden = index === null;
    if (index === null) return;
    this.tip.replaceChildren(...this.tipLines(index));
    const { px, py } = this.pixels.get(index);
    const { width } = this.size;
    const left = px + 16 + this.tip.offsetWidth > width ? px - 16 - this.tip.offsetWidth : px + 16;
    this.tip.style.left = `${Math.max(4, left)}px`;
    this.tip.style.top = `${Math.max(4, py - this.tip.offsetHeight / 2)}px`;
  }

  tipLines(index) {
    const lines = [el("b", {}, TRIALS.id[index]), TRIALS.text[index]];
    for (const name of new Set([this.view.y, this.view.x, this.view.z].filter(Boolean))) {
      const metric = METRICS.get(name);
      const device = deviceOf(name);
      const { method, extra } = device ? latencyParts(device, index) : { method: "", extra: "" };
      const change = versus.kept === null || versus.kept === index ? ""
        : formatChange(valueOf(index, name), valueOf(versus.kept, name), metric);
      const beside = change && `${change}${change.endsWith("same") ? " as" : " beside"} ${TRIALS.id[versus.kept]}`;
      const suffix = [method, extra, beside].filter(Boolean).join(", ");
      lines.push(el("div", {}, `${metric.title}: ${formatValue(valueOf(index, name), metric)}`,
        suffix ? ` (${suffix})` : ""));
    }
    if (!TRIALS.feasible[index]) lines.push(el("div", {}, "outside the study's constraints"));
    return lines;
  }

  walk(event) {
    const order = [...this.front].sort((a, b) => this.pixels.get(a).px - this.pixels.get(b).px);
    const here = order.indexOf(this.view.selected);
    const targets = {
      ArrowLeft: here < 0 ? 0 : Math.max(0, here - 1),
      ArrowRight: here < 0 ? 0 : Math.min(order.length - 1, here + 1),
      Home: 0,
      End: order.length - 1,
    };
    if (!Object.hasOwn(targets, event.key) || !order.length) return;
    event.preventDefault();
    const index = order[targets[event.key]];
    this.onSelect(index);
    this.hover(index);
  }
}
