// How are the small charts drawn: accuracy over epochs, growing widths, hypervolume?
const CHART = { width: 400, height: 130, left: 48, right: 8, top: 8, bottom: 24 };
const GROUP_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7f7f7f"];

function chartFrame(label, x, y, options = {}) {
  const { width, height, left, right, bottom } = { ...CHART, ...options };
  const frame = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const tick of y.ticks) {
    frame.append(
      svg("line", { class: "gridline", x1: left, x2: width - right, y1: tick.at, y2: tick.at }),
      svg("text", { x: left - 6, y: tick.at + 4, "text-anchor": "end" }, tick.label),
    );
  }
  for (const tick of x.ticks) {
    frame.append(svg("text", { x: tick.at, y: height - bottom + 16, "text-anchor": "middle" }, tick.label));
  }
  return frame;
}

function chartScale(low, high, start, end, count, format) {
  const span = high - low || 1;
  const at = (value) => start + ((value - low) / span) * (end - start);
  const ticks = linearTicks(low, low + span, count).map((tick) => ({
    at: at(tick.value), label: format ? format(tick.value) : tick.label,
  }));
  return { at, ticks };
}

function pathOf(points) {
  return points.map(([x, y], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

// `points` are [x, y]; the y axis begins and ends at the values themselves.
function lineChart(label, points, options = {}) {
  const size = { ...CHART, ...options };
  const [lowX, highX] = minmax(points.map(([x]) => x));
  const [lowY, highY] = options.rangeY || minmax(points.map(([, y]) => y));
  const whole = Math.max(1, Math.min(8, Math.floor(highX - lowX)));
  const x = chartScale(lowX, highX, size.left, size.width - size.right - 6, whole);
  const y = chartScale(lowY, highY, size.height - size.bottom, size.top, 4, options.formatY);
  const frame = chartFrame(label, x, y, size);
  const pixels = points.map(([px, py]) => [x.at(px), y.at(py)]);
  const stepped = options.step
    ? pixels.flatMap((point, place) => (place ? [[point[0], pixels[place - 1][1]], point] : [point]))
    : pixels;
  frame.append(svg("path", { class: "curve", d: pathOf(stepped) }));
  const [lastX, lastY] = pixels[pixels.length - 1];
  frame.append(svg("circle", { cx: lastX, cy: lastY, r: 3, fill: "var(--accent)" }));
  return frame;
}

// `groups` are [name, widths over epochs]; areas are stacked in the order given.
function stackedChart(label, epochs, groups) {
  const totals = epochs.map((_, place) => groups.reduce((sum, [, widths]) => sum + widths[place], 0));
  const size = CHART;
  const x = chartScale(epochs[0], epochs[epochs.length - 1], size.left, size.width - size.right - 6,
    Math.max(1, Math.min(8, epochs.length - 1)));
  const y = chartScale(0, Math.max(...totals), size.height - size.bottom, size.top, 4);
  const frame = chartFrame(label, x, y);
  let base = epochs.map(() => 0);
  groups.forEach(([name, widths], order) => {
    const upper = base.map((value, place) => value + widths[place]);
    const there = epochs.map((epoch, place) => [x.at(epoch), y.at(upper[place])]);
    const back = epochs.map((epoch, place) => [x.at(epoch), y.at(base[place])]).reverse();
    const last = widths[widths.length - 1];
    frame.append(svg("path", {
      d: `${pathOf([...there, ...back])}Z`, fill: groupColour(order), "fill-opacity": groupOpacity(order),
      stroke: "var(--card)", "stroke-width": 0.8,
    }, svg("title", {}, `${name}: ${widths[0]} to ${last} channels`)));
    base = upper;
  });
  return frame;
}

function groupColour(order) {
  return GROUP_COLOURS[order % GROUP_COLOURS.length];
}

function groupOpacity(order) {
  return order < GROUP_COLOURS.length ? 0.85 : 0.5;
}

// Dots of several colours under one label, and a line; `groups` are { colour, points } in pixels.
function dotChart(label, x, y, groups, options = {}) {
  const frame = chartFrame(label, x, y, options);
  for (const { colour, points, faint } of groups) {
    // One path for all: a dot is a line without a length and with round ends.
    frame.append(svg("path", { class: "dots", stroke: `var(${colour})`, "stroke-opacity": faint ? 0.35 : 0.8,
      d: points.map(([px, py]) => `M${px.toFixed(1)} ${py.toFixed(1)}h0`).join("") }));
  }
  return frame;
}

// Draw now and whenever the width of `host` changes.
function drawWide(host, draw) {
  new ResizeObserver(() => {
    if (host.clientWidth > 50) host.replaceChildren(draw(host.clientWidth));
  }).observe(host);
}
