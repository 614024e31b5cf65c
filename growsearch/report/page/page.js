// What is on the page now? One state, kept in the address after #, so that a view can be shared.
const state = readState();
let scatter = null, table = null, answer = null, parallel = null, ranks = null, versus = null, times = null;

// The network of the study's own answer, or what misses it least.
function studyChoice() {
  const first = DATA.choices[0] || DATA.choice;
  return first ? first.chosen ?? first.nearest : null;
}

function readState() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const names = DATA.metrics.map((metric) => metric.name);
  const known = (name, otherwise) => (names.includes(asked.get(name)) ? asked.get(name) : otherwise);
  const devices = DATA.choices.map((choice) => choice.device);
  const device = devices.includes(asked.get("device")) ? asked.get("device") : devices[0] || null;
  const cost = device !== null ? `latency[${device}]` : names.find((name) => name !== DATA.quality);
  const trial = PLACE.get(asked.get("trial"));
  return {
    device,
    x: known("x", cost || DATA.quality),
    y: known("y", DATA.quality),
    z: known("z", null),
    logX: asked.get("log") === null ? null : asked.get("log").includes("x"),
    logY: asked.get("log") === null ? null : asked.get("log").includes("y"),
    selected: trial ?? studyChoice() ?? DATA.front[0] ?? null,
    theme: asked.get("theme"),
  };
}

function writeState() {
  const next = new URLSearchParams({ x: state.x, y: state.y, log: `${state.logX ? "x" : ""}${state.logY ? "y" : ""}` });
  if (state.z) next.set("z", state.z);
  if (state.device !== null) next.set("device", state.device);
  if (state.selected !== null) next.set("trial", TRIALS.id[state.selected]);
  if (state.theme) next.set("theme", state.theme);
  history.replaceState(null, "", `#${next}`);
}

function canLog(name) {
  const [low] = minmax(TRIALS.values[name].filter((value) => value !== null));
  return low > 0 && Number.isFinite(low);
}

// More than a decade between the ends is easier to read on a logarithmic axis.
function prefersLog(name) {
  const [low, high] = minmax(TRIALS.values[name].filter((value) => value !== null));
  return canLog(name) && METRICS.get(name).kind !== "share" && high / low > 10;
}

function select(index, follow) {
  state.selected = index;
  showDetails(index);
  table.show(index);
  scatter.show({ ...state });
  parallel.show(index);
  ranks.show(index);
  versus.select(index);
  times.show(index);
  writeState();
  if (follow) byId("details").scrollIntoView({ block: "nearest" });
}

function setAxis(side, name) {
  state[side] = name;
  state[side === "x" ? "logX" : "logY"] = prefersLog(name);
  renderAxes();
  renderLegend();
  scatter.show({ ...state });
  writeState();
}

function setSize(name) {
  state.z = name || null;
  renderLegend();
  scatter.show({ ...state });
  writeState();
}

function setDevice(device) {
  const moves = deviceOf(state.x) === state.device;
  state.device = device;
  answer.show(device);
  if (moves && METRICS.has(`latency[${device}]`)) setAxis("x", `latency[${device}]`);
  const choice = DATA.choices.find((entry) => entry.device === device);
  const index = choice.chosen ?? choice.nearest;
  if (index !== null) select(index);
}

function axisPicker(side) {
  const key = side === "x" ? "logX" : "logY";
  const options = DATA.metrics.map((metric) =>
    el("option", { value: metric.name, selected: metric.name === state[side] }, metric.title));
  const possible = canLog(state[side]);
  return [
    el("label", {}, side, el("select", { id: `axis-${side}`, "aria-label": `${side} axis`,
      onchange: (event) => setAxis(side, event.target.value) }, options)),
    el("label", { class: possible ? "" : "disabled" }, el("input", {
      type: "checkbox", id: `log-${side}`, checked: state[key] && possible, disabled: !possible,
      onchange: (event) => {
        state[key] = event.target.checked;
        scatter.show({ ...state });
        writeState();
      },
    }), "log"),
  ];
}

function sizePicker() {
  const options = [el("option", { value: "", selected: !state.z }, "all alike"),
    ...DATA.metrics.map((metric) =>
      el("option", { value: metric.name, selected: metric.name === state.z }, metric.title))];
  return el("label", {}, "size", el("select", { id: "axis-z", "aria-label": "third objective, as size",
    onchange: (event) => setSize(event.target.value) }, options));
}

function renderAxes() {
  byId("axes").replaceChildren(...axisPicker("x"), ...axisPicker("y"), sizePicker());
}

function legendMark(look, opacity) {
  const shapes = {
    circle: svg("circle", { cx: 8, cy: 7, r: 5 }),
    triangle: svg("path", { d: "M8 1.5L13.5 11.5H2.5Z" }),
    square: svg("rect", { x: 3.5, y: 2.5, width: 9, height: 9 }),
    diamond: svg("path", { d: "M8 1L14 7L8 13L2 7Z" }),
    star: svg("path", { d: pathOf(starAt(8, 7, 6.5)) + "Z" }),
  };
  const shape = shapes[look.shape];
  shape.setAttribute("fill", `var(${look.colour})`);
  shape.setAttribute("fill-opacity", opacity);
  return svg("svg", { viewBox: "0 0 16 14", "aria-hidden": "true" }, shape);
}

function renderLegend() {
  const entries = KINDS.map((kind) => el("span", {}, legendMark(lookOf(kind), 1), lookOf(kind).title));
  if (state.z) {
    entries.push(el("span", {}, `strong: front of these three; larger: better ${METRICS.get(state.z).title}`));
  } else {
    entries.push(el("span", {}, svg("svg", { viewBox: "0 0 16 14", "aria-hidden": "true" },
      svg("path", { class: "step", d: "M1 12V7H9V2H15" })), "front of these two axes"));
  }
  if (KINDS.length) entries.push(el("span", {}, legendMark(lookOf(KINDS[0]), 0.38), "dominated (pale)"));
  if (TRIALS.feasible.includes(false)) {
    entries.push(el("span", {}, svg("svg", { viewBox: "0 0 16 14", "aria-hidden": "true" },
      svg("path", { d: "M4 3L12 11M4 11L12 3", stroke: "var(--off)", "stroke-width": 1.6 })), "outside the study's constraints"));
  }
  if (deviceOf(state.x) || deviceOf(state.y)) entries.push(el("span", {}, "bars: latency interval"));
  byId("legend").replaceChildren(...entries);
}

function renderHeader() {
  byId("name").textContent = DATA.name;
  const counts = [`${TRIALS.id.length} trials finished`];
  if (DATA.failed.length) counts.push(`${DATA.failed.length} failed`);
  if (DATA.stopped.length) counts.push(`${DATA.stopped.length} stopped early`);
  if (DATA.rejected) counts.push(`${DATA.rejected} rejected before training`);
  counts.push(`${DATA.front.length} on the front`);
  if (DATA.dataset) counts.unshift(`data set ${DATA.dataset}`);
  byId("summary").textContent = counts.join(" · ");
}

function renderProgress() {
  const { steps, reference } = DATA.progress;
  const corner = Object.entries(reference)
    .map(([name, value]) => `${METRICS.get(name).title} ${formatValue(value, METRICS.get(name))}`).join(", ");
  if (steps.length < 2) {
    byId("progress-note").textContent = "Needs trials that differ in every objective.";
    return;
  }
  drawWide(byId("progress-plot"), (width) => lineChart("Hypervolume by number of compared trials", steps, {
    ...WIDE, width, step: true, rangeY: [0, Math.max(...steps.map(([, share]) => share))],
    formatY: (share) => `${Number((100 * share).toPrecision(3))} %`,
  }));
  byId("progress-note").textContent = "Share of the box between the best and the worst value of every " +
    `objective in this run, by compared trials. Reference point: ${corner}. ` +
    "The reference belongs to this run, so compare only inside it.";
}

function renderFailed() {
  byId("failed").hidden = DATA.failed.length === 0;
  byId("failed-title").textContent = `${DATA.failed.length} failed ${DATA.failed.length === 1 ? "trial" : "trials"}`;
  byId("failed-table").replaceChildren(
    el("thead", {}, el("tr", {}, ["Trial", "Made by", "Error"].map((title) => el("th", { scope: "col" }, title)))),
    el("tbody", {}, DATA.failed.map((trial) => el("tr", {}, el("td", { class: "mono" }, trial.id),
      el("td", {}, trial.text), el("td", {}, trial.error)))),
  );
}

function renderFrontNote() {
  const words = DATA.metrics.filter((metric) => metric.objective)
    .map((metric) => `${metric.title.replace(/^[A-Z](?![A-Z])/, (letter) => letter.toLowerCase())} ${metric.direction === "maximize" ? "up" : "down"}`);
  byId("front-note").textContent = `The front: no compared network beats these in all objectives at once: ${words.join(", ")}.`;
}

function setTheme(theme) {
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").textContent = dark ? "Light colours" : "Dark colours";
  if (scatter && state.selected !== null) scatter.draw();
  if (parallel && state.selected !== null) parallel.show(state.selected);
  if (times) times.show(state.selected);
}

function start() {
  setTheme(state.theme);
  byId("theme").addEventListener("click", () => {
    state.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    setTheme(state.theme);
    writeState();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(state.theme));
  renderHeader();
  renderFailed();
  renderStopped();
  renderChecks();
  renderFrontNote();
  renderProgress();
  byId("settings-text").textContent = DATA.settings;
  byId("provenance-text").textContent = DATA.provenance;
  byId("notes").hidden = DATA.notes.length === 0;
  byId("notes-list").replaceChildren(...DATA.notes.map((note) => el("li", {}, note)));
  if (state.logX === null) state.logX = prefersLog(state.x);
  if (state.logY === null) state.logY = prefersLog(state.y);
  renderAxes();
  renderLegend();
  versus = new Versus(select);
  versus.kept = studyChoice();
  table = new NetworkTable(byId("front-table"), (index) => select(index), (index) => versus.hover(index));
  scatter = new Scatter(byId("plot"), (index) => select(index), (index) => versus.hover(index));
  parallel = new Parallel(byId("parallel-plot"), (index) => select(index), (only) => table.limit(only));
  times = new Timeline(byId("timeline-plot"), (index) => select(index));
  new Influence();
  renderHistory();
  ranks = new Ranks(byId("ranks-plot"), (index) => select(index));
  answer = new Answer(select, setDevice);
  answer.show(state.device);
  byId("plot").setAttribute("aria-label", "Scatter of all trials on the two axes chosen above");
  if (state.selected === null) {
    byId("details").replaceChildren(el("h2", { id: "details-title" }, "No finished trial yet"));
    scatter.show({ ...state });
  } else {
    select(state.selected);
    new BoundChoice(select);
  }
}

start();
