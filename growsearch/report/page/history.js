// How did the search go on? The first objective and the front's share by trial, and when trials ran.
const WIDE = { height: 190, left: 56, right: 12, top: 10, bottom: 26 };
const LANE = 14;

// The best of all compared trials up to each one.
function bestSoFar(name) {
  let best = null;
  return TRIALS.id.flatMap((_, index) => {
    const value = valueOf(index, name);
    if (value === null || !TRIALS.feasible[index]) return [];
    if (best === null || signOf(name) * (value - best) < 0) best = value;
    return [[index, best]];
  });
}

function qualityChart(width) {
  const metric = METRICS.get(DATA.quality), size = { ...WIDE, width };
  const shown = TRIALS.id.map((_, index) => index).filter((index) => valueOf(index, DATA.quality) !== null);
  const x = chartScale(1, Math.max(2, TRIALS.id.length), size.left + 8, width - size.right - 8,
    Math.max(1, Math.min(8, TRIALS.id.length - 1)));
  const y = makeAxis(metric, shown.map((index) => valueOf(index, DATA.quality)),
    { start: size.height - size.bottom, end: size.top, log: prefersLog(DATA.quality), count: 5 });
  const groups = KINDS.map((kind) => ({ colour: lookOf(kind).colour, points: shown.filter((index) => TRIALS.kind[index] === kind)
    .map((index) => [x.at(index + 1), y.at(valueOf(index, DATA.quality))]) }));
  const chart = dotChart(`${y.title} by trial, in the order they finished, and the best so far`, x, y, groups, size);
  const best = bestSoFar(DATA.quality).map(([index, value]) => [x.at(index + 1), y.at(value)]);
  const steps = best.flatMap((point, place) => (place ? [[point[0], best[place - 1][1]], point] : [point]));
  chart.append(svg("path", { class: "curve", d: pathOf(steps) }));
  return chart;
}

function renderHistory() {
  const title = METRICS.get(DATA.quality).title;
  byId("history").hidden = TRIALS.id.length < 2 || !TRIALS.values[DATA.quality].some((value) => value !== null);
  if (byId("history").hidden) return;
  byId("history-title").textContent = `${title} over trials`;
  byId("history-note").textContent = "One dot a trial, in the order they finished; the line is the best so far inside the study's constraints.";
  drawWide(byId("history-plot"), qualityChart);
}

class Timeline {
  constructor(host, onSelect) {
    this.host = host;
    this.bars = DATA.timeline.id.map((id, place) => ({ id, place }));
    byId("timeline").hidden = this.bars.length < 2;
    if (byId("timeline").hidden) return;
    this.lanes = Math.max(...DATA.timeline.lane) + 1;
    [, this.end] = minmax(DATA.timeline.end);
    byId("timeline-note").textContent = this.note();
    this.canvas = el("canvas", { role: "img", "aria-label": this.note() });
    this.axis = svg("svg", { "aria-hidden": "true" });
    host.replaceChildren(this.canvas, this.axis);
    host.addEventListener("pointermove", (event) => { host.title = this.said(this.at(event)); });
    host.addEventListener("click", (event) => {
      const place = this.at(event);
      const index = place === null ? null : DATA.timeline.index[place];
      if (index !== null) onSelect(index);
    });
    new ResizeObserver(() => this.draw()).observe(host);
  }

  note() {
    const { start, end, pauses } = DATA.timeline;
    const work = start.reduce((sum, from, place) => sum + end[place] - from, 0);
    const busy = this.end > 0 ? ` They were busy ${Math.round(100 * work / (this.end * this.lanes))} % of ${this.duration(this.end)}.` : "";
    const paused = pauses.reduce((sum, [, length]) => sum + length, 0);
    const left = pauses.length ? ` Left out: ${pauses.length} ${pauses.length === 1 ? "pause" : "pauses"}, ${this.duration(paused)} in all (dashed).` : "";
    return `${this.bars.length} trials, at most ${this.lanes} at once, by the last attempt of each.${busy}${left}`;
  }

  duration(seconds) {
    if (seconds < 120) return `${Number(seconds.toPrecision(3))} s`;
    return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
  }

  x(seconds) {
    return 8 + (this.host.clientWidth - 16) * (this.end > 0 ? seconds / this.end : 0);
  }

  draw() {
    const width = this.host.clientWidth, height = this.lanes * LANE, ratio = window.devicePixelRatio || 1;
    if (width < 50) return;
    this.host.style.height = `${height + 24}px`;
    this.canvas.style.height = `${height}px`;
    [this.canvas.width, this.canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const { start, end, lane, index, status } = DATA.timeline;
    const colours = new Map(KINDS.map((kind) => [kind, style.getPropertyValue(lookOf(kind).colour)]));
    const off = style.getPropertyValue("--off"), scale = (width - 16) / (this.end || 1);
    for (const { place } of this.bars) {
      context.fillStyle = index[place] === null ? off : colours.get(TRIALS.kind[index[place]]);
      context.globalAlpha = index[place] !== null && index[place] === this.selected ? 1 : 0.6;
      const left = 8 + scale * start[place], span = Math.max(1, scale * (end[place] - start[place]) - 1);
      // What failed or was stopped is thin as well as grey.
      const inset = status[place] === "finished" ? 1 : 5;
      context.fillRect(left, lane[place] * LANE + inset, span, LANE - 2 * inset);
    }
    this.drawAxis(width, height);
  }

  drawAxis(width, height) {
    const [factor, unit] = this.end < 120 ? [1, "s"] : this.end < 7200 ? [60, "min"] : [3600, "h"];
    const ticks = linearTicks(0, Math.max(this.end, 1e-3) / factor, width < 500 ? 4 : 8);
    this.axis.setAttribute("viewBox", `0 0 ${width} ${height + 24}`);
    this.axis.replaceChildren(
      ...DATA.timeline.pauses.map(([at]) => svg("line", { class: "limit", x1: this.x(at), x2: this.x(at), y1: 0, y2: height })),
      ...ticks.map(({ value, label }, place) => svg("text", { x: this.x(value * factor), y: height + 17,
        "text-anchor": place === 0 ? "start" : value * factor > 0.96 * this.end ? "end" : "middle" }, `${label} ${unit}`)));
  }

  at(event) {
    const box = this.host.getBoundingClientRect();
    const x = event.clientX - box.left, row = Math.floor((event.clientY - box.top) / LANE);
    const { start, end, lane } = DATA.timeline;
    const found = this.bars.find(({ place }) => lane[place] === row
      && x >= this.x(start[place]) - 1 && x <= Math.max(this.x(end[place]), this.x(start[place]) + 2));
    return found ? found.place : null;
  }

  said(place) {
    if (place === null) return "";
    const { id, start, end, index, status } = DATA.timeline;
    const text = index[place] === null ? status[place] : TRIALS.text[index[place]];
    return `${id[place]}: ${text}, ${this.duration(end[place] - start[place])}`;
  }

  show(selected) {
    this.selected = selected;
    if (!byId("timeline").hidden) this.draw();
  }
}
