// How far were the predicted latencies from the measured ones? One chart a device that was checked.
function checkChart(device, checks) {
  const size = { width: 380, height: 260, left: 64, right: 12, top: 10, bottom: 40 };
  const values = checks.flatMap((check) => [check.predicted, check.measured, check.low, check.high])
    .filter((value) => value !== null);
  const metric = { ...METRICS.get(`latency[${device}]`), title: "measured" };
  const [low, high] = minmax(values);
  const log = high / low > 10;
  const x = makeAxis(metric, [low, high], { start: size.left, end: size.width - size.right, log, count: 4 });
  const y = makeAxis({ ...metric, title: "predicted" }, [low, high],
    { start: size.height - size.bottom, end: size.top, log, count: 5 });
  const frame = chartFrame(`Predicted against measured latency on ${device}`, x, y, size);
  frame.append(
    svg("path", { class: "limit", d: `M${x.at(low)} ${y.at(low)}L${x.at(high)} ${y.at(high)}` }),
    svg("text", { class: "title", x: (size.left + size.width) / 2, y: size.height - 4, "text-anchor": "middle" }, x.title),
    svg("text", { class: "title", x: 0, y: 0, "text-anchor": "middle",
      transform: `translate(12 ${size.height / 2 - 10}) rotate(-90)` }, y.title));
  for (const check of checks) {
    const px = x.at(check.measured), colour = `var(${lookOf(TRIALS.kind[check.index]).colour})`;
    if (check.low !== null && check.high !== null) {
      frame.append(svg("line", { class: "whisker", x1: px, x2: px, y1: y.at(check.low), y2: y.at(check.high) }));
    }
    frame.append(svg("circle", { cx: px, cy: y.at(check.predicted), r: 4, fill: colour },
      svg("title", {}, `${TRIALS.id[check.index]}: predicted ${formatValue(check.predicted, SECONDS)}, `
        + `measured ${formatValue(check.measured, SECONDS)}`)));
  }
  return frame;
}

function renderChecks() {
  const found = Object.entries(DATA.checks).filter(([, checks]) => checks.length);
  byId("checks").hidden = found.length === 0;
  byId("checks-plots").replaceChildren(...found.map(([device, checks]) => {
    const errors = checks.map((check) => Math.abs(check.predicted / check.measured - 1));
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    const inside = checks.filter((check) => check.low !== null
      && check.measured >= check.low && check.measured <= check.high).length;
    return el("figure", {}, checkChart(device, checks), el("figcaption", { class: "muted small" },
      `${device}: ${checks.length} networks, ${(100 * mean).toFixed(1)} % off on average, `
      + `${(100 * Math.max(...errors)).toFixed(1)} % at most; ${inside} of ${checks.length} inside their interval.`));
  }));
}

function renderStopped() {
  byId("stopped").hidden = DATA.stopped.length === 0;
  byId("stopped-title").textContent = `${DATA.stopped.length} stopped early`;
  byId("stopped-table").replaceChildren(
    el("thead", {}, el("tr", {}, ["Trial", "Made by", "After epochs", "Accuracy there"]
      .map((title) => el("th", { scope: "col" }, title)))),
    el("tbody", {}, DATA.stopped.slice(0, 200).map((trial) => el("tr", {},
      el("td", { class: "mono" }, trial.id), el("td", {}, trial.text),
      el("td", {}, trial.epochs === null ? "–" : String(trial.epochs)),
      el("td", {}, trial.accuracy === null ? "–" : formatValue(trial.accuracy, { kind: "share" }))))));
}
