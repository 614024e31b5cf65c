// What is this network? Its figures, how it trained, its layers and the settings that made it.
function showDetails(index) {
  const id = TRIALS.id[index];
  const detail = Object.hasOwn(DATA.details, id) ? DATA.details[id] : null;
  const onFront = DATA.front.includes(index);
  const parts = [
    el("h2", { id: "details-title" }, el("span", { class: "mono" }, id),
      el("span", { class: "chip plain" }, lookOf(TRIALS.kind[index]).title),
      onFront ? el("span", { class: "chip" }, "on the front") : null,
      TRIALS.feasible[index] ? null : el("span", { class: "chip" }, "outside the constraints")),
    el("p", {}, `${TRIALS.text[index]}, trial ${TRIALS.number[index]}`),
    figures(index, detail),
  ];
  if (detail === null) {
    parts.push(el("p", { class: "muted" },
      `The layers and history of this network are not in the page, to keep it small. See trials/${id}.`));
  } else {
    parts.push(...evaluationParts(detail.evaluation), ...historyParts(detail.history),
      ...layerParts(detail.layers), ...keptParts(detail.kept), ...recordParts(detail.records),
      el("h3", {}, "Settings that made it"), settingsList(detail),
      el("p", { class: "muted small" }, `Weights and architecture: trials/${id}`));
  }
  byId("details").replaceChildren(...parts);
  byId("details").scrollTop = 0;
}

function figures(index, detail) {
  const rows = [];
  for (const metric of DATA.metrics) {
    const value = valueOf(index, metric.name);
    if (value === null) continue;
    const device = deviceOf(metric.name);
    const cell = [formatValue(value, metric)];
    const again = (DATA.repeats[TRIALS.id[index]] || {})[metric.name];
    if (metric.name === "accuracy" && DATA.examples !== null) cell.push(el("span", { class: "sub" },
      `${accuracyInterval(value).map((end) => (100 * end).toFixed(1)).join(" % to ")} %, `
        + `95 % interval of ${withCommas(DATA.examples)} examples`));
    if (device) cell.push(...latencyNotes(index, device, detail));
    if (again) cell.push(el("span", { class: "sub" }, again));
    rows.push(el("dt", {}, metric.title), el("dd", {}, ...cell));
  }
  return el("dl", {}, ...rows);
}

function latencyNotes(index, device, detail) {
  const { method, extra } = latencyParts(device, index);
  const entry = detail && detail.latency[device];
  const how = entry ? [
    entry.device, entry.batch_size && `batch ${entry.batch_size}`,
    entry.threads && `${entry.threads} thread${entry.threads === 1 ? "" : "s"}`,
  ].filter(Boolean).join(", ") : "";
  return [" ", methodChip(method), ...[extra, how, entry && entry.note, checkOf(entry), zerosOn(index, device)].filter(Boolean)
    .map((line) => el("span", { class: "sub" }, line))];
}

// What the zeros of a sparse network are worth on a device; nothing of one without.
function zerosOn(index, device) {
  const id = TRIALS.id[index];
  const { zeros } = Object.hasOwn(DATA.details, id) ? DATA.details[id] : {};
  return zeros && Object.hasOwn(zeros, device) ? zeros[device] : "";
}

// What a predicted latency turned out to be, once the device was asked.
function checkOf(entry) {
  if (!entry || !entry.measured) return "";
  const { processor_s: processor, median_s: whole } = entry.measured;
  const error = entry.latency_s / (processor || whole) - 1;
  const taken = processor
    ? `${formatValue(processor, SECONDS)} of processor time (${formatValue(whole, SECONDS)} in all)`
    : formatValue(whole, SECONDS);
  return `measured ${taken}, `
    + `predicted ${(100 * Math.abs(error)).toFixed(1)} % too ${error > 0 ? "slow" : "fast"}`;
}

function historyParts(history) {
  const epochs = history.epoch || [];
  const name = history.accuracy || history.learned_accuracy ? "accuracy" : DATA.quality;
  // Where the validation examples were learned, too, epochs say nothing of unseen ones.
  const learned = !history[name] && Boolean(history[`learned_${name}`]);
  const column = history[learned ? `learned_${name}` : name] || [], metric = DATA.metrics.find((each) => each.name === name);
  const points = epochs.map((epoch, place) => [epoch, column[place]]).filter(([, y]) => y !== null && y !== undefined);
  if (points.length < 2) return [];
  const percent = (value) => `${Number((100 * value).toPrecision(3))} %`;
  const of = learned ? "examples that it learned" : "validation";
  const label = name === "accuracy" && !learned ? "Validation accuracy by epoch"
    : `${name === "accuracy" ? "Accuracy" : metric.title} by epoch (${of})`;
  const formatY = name === "accuracy" ? percent : (value) => formatValue(value, metric);
  const parts = [el("h3", {}, label), lineChart(label, points, { formatY })];
  const groups = Object.keys(history).filter((name) => name.startsWith("width."))
    .map((name) => [name.slice(6), history[name].map((width) => width || 0)]);
  if (!groups.length) return parts;
  const legend = groups.map(([name, widths], order) => el("span", {},
    svg("svg", { viewBox: "0 0 10 10" }, svg("rect", { width: 10, height: 10, rx: 2, fill: groupColour(order), "fill-opacity": groupOpacity(order) })),
    `${name} ${widths[widths.length - 1]}`));
  return [...parts, el("h3", {}, "Channels by group, by epoch"),
    stackedChart("Channels of every group by epoch", epochs, groups), el("div", { class: "groups" }, ...legend)];
}

// What `growsearch evaluate` found of it.
function evaluationParts(evaluation) {
  if (!evaluation) return [];
  const rows = evaluation.metrics.flatMap((metric) => [
    el("dt", {}, metric.title), el("dd", {}, formatValue(metric.value, metric))]);
  return [el("h3", {}, "Measures beyond accuracy"),
    el("p", { class: "muted small" }, `On ${withCommas(evaluation.examples)} ${evaluation.split} examples of ${evaluation.data}.`),
    el("dl", { class: "evaluation" }, ...rows), ...classParts(evaluation)];
}

// How well each class is told, and what it is taken for.
function classParts({ classes, confusion }) {
  if (!classes || !classes.length) return [];
  const share = (value) => (value === null ? "–" : percentOf(value));
  const head = (...cells) => el("thead", {}, el("tr", {}, ...cells.map((cell) => el("th", { title: cell }, cell))));
  const figures = classes.map(({ name, count, precision, recall }) => el("tr", {},
    el("td", {}, name), el("td", {}, withCommas(count)), el("td", {}, share(precision)), el("td", {}, share(recall))));
  const rows = confusion.map((row, place) => el("tr", {}, el("th", {}, classes[place].name),
    ...row.map((count, other) => el("td", {
      class: other === place ? "told" : count ? "missed" : "none",
      title: `${withCommas(count)} of ${classes[place].name} named ${classes[other].name}`,
    }, count ? withCommas(count) : "·"))));
  return [el("h3", {}, "Classes"),
    el("table", { class: "classes" }, head("Class", "Count", "Precision", "Recall"), el("tbody", {}, ...figures)),
    el("h3", {}, "Confusion: true class by row, named class by column"),
    el("div", { class: "wide" }, el("table", { class: "confusion" },
      head("", ...classes.map(({ name }) => name)), el("tbody", {}, ...rows)))];
}

// Which layers of a grown network kept their full width.
function keptParts(kept) {
  if (!kept || !kept.length) return [];
  const rows = kept.map(([name, reason, parameters, macs]) => el("tr", {},
    el("td", { class: "where" }, el("div", { class: "mono", title: name }, name), el("div", { class: "muted" }, reason)),
    el("td", {}, percentOf(parameters)), el("td", {}, percentOf(macs))));
  return [el("h3", {}, "Layers that kept their width"),
    el("p", { class: "muted small" }, "What they still hold of the full network where all else is as small as it gets."),
    el("table", { class: "layers" },
      el("thead", {}, el("tr", {}, el("th", { class: "where" }, "Layer, reason"), el("th", {}, "Parameters"), el("th", {}, "MACs"))),
      el("tbody", {}, ...rows))];
}

const RECORDS = { spectra: "Mask spectra, means over layers", gradient_flow: "Gradient flow" };
const FIGURES = { all: "norm over all layers", mean: "mean norm of a layer" };

// What it recorded of its masks: a chart a figure, the epoch 0 is before training.
function recordParts(records) {
  return Object.entries(records || {}).flatMap(([name, columns]) => {
    const charts = Object.keys(columns).filter((figure) => figure !== "epoch").flatMap((figure) => {
      const points = columns.epoch.map((epoch, place) => [epoch, columns[figure][place]])
        .filter(([, y]) => y !== null && y !== undefined);
      if (points.length < 2) return [];
      const label = FIGURES[figure] || figure.replaceAll("_", " ");
      return [el("figure", { class: "record" }, el("figcaption", {}, label),
        lineChart(`${label} by epoch`, points, { formatY: (value) => String(Number(value.toPrecision(3))) }))];
    });
    return charts.length ? [el("h3", {}, RECORDS[name] || name), ...charts] : [];
  });
}

function bar(share, back, text, title) {
  return el("div", { class: "bar", title },
    svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "back", width: 100 * back, height: 10 }),
      svg("rect", { class: "fill", width: 100 * share, height: 10 })),
    el("span", {}, text));
}

function layerParts(layers) {
  if (!layers.length) return [];
  const total = layers.reduce((sum, layer) => sum + layer.effective_macs, 0) || 1;
  const largest = Math.max(...layers.map((layer) => layer.dense_macs)) || 1;
  const devices = [...new Set(layers.flatMap((layer) => Object.keys(layer.latency_share || {})))];
  const most = Object.fromEntries(devices.map((device) =>
    [device, Math.max(...layers.map((layer) => (layer.latency_share || {})[device] || 0)) || 1]));
  const rows = layers.map((layer) => {
    const density = layer.parameters ? layer.nonzero_parameters / layer.parameters : 1;
    const share = layer.effective_macs / total;
    return el("tr", {},
      el("td", { class: "where" }, el("div", { class: "mono", title: layer.name }, layer.name),
        el("div", { class: "muted" }, `${layer.kind} ${layer.output_shape.join("×")}`)),
      el("td", {}, layer.parameters ? bar(density, 1, `${(100 * density).toFixed(0)} %`,
        `${formatValue(layer.nonzero_parameters, COUNT)} of ${formatValue(layer.parameters, COUNT)} parameters are not zero`) : "–"),
      el("td", {}, bar(layer.effective_macs / largest, layer.dense_macs / largest, `${(100 * share).toFixed(0)} %`,
        `${formatValue(layer.effective_macs, COUNT)} MACs with zeros skipped, ${formatValue(layer.dense_macs, COUNT)} dense`)),
      ...devices.map((device) => {
        const time = (layer.latency_share || {})[device];
        return el("td", {}, time === undefined ? "–"
          : bar(time / most[device], 0, percentOf(time), `${percentOf(time)} of the latency on ${device}`));
      }));
  });
  const rest = devices.map((device) => {
    const known = layers.reduce((sum, layer) => sum + ((layer.latency_share || {})[device] || 0), 0);
    return `${percentOf(Math.max(0, 1 - known))} on ${device}`;
  });
  return [el("h3", {}, "Layers"),
    el("p", { class: "muted small" }, "Density: weights that are not zero. Work: share of all MACs; the pale bar is the dense work."
      + (devices.length ? ` Time: share of the latency; what lies between these layers (normalisation, activations, overhead) is ${rest.join(", ")}.` : "")),
    el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Layers" }, el("table", { class: devices.length ? "layers many" : "layers" },
      el("thead", {}, el("tr", {}, el("th", { class: "where" }, "Layer, output"), el("th", {}, "Density"), el("th", {}, "Work"),
        ...devices.map((device) => el("th", {}, `Time, ${device}`)))),
      el("tbody", {}, ...rows)))];
}

function percentOf(share) {
  return `${Number((100 * share).toPrecision(2))} %`;
}

function plainText(value) {
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}

function settingsList(detail) {
  const rows = Object.entries(detail.config).map(([name, value]) => [name, plainText(value)]);
  rows.push(["seed", String(detail.seed)]);
  if (detail.duration_s !== null) rows.push(["duration", formatValue(detail.duration_s, SECONDS)]);
  if (detail.hash) rows.push(["network", detail.hash]);
  if (detail.network && detail.network.transform) rows.push(["transform", plainText(detail.network.transform)]);
  return el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", { class: "mono" }, value)]));
}
