// What made a difference? Importance of every setting for each objective, and slices: the values of
// a setting against an objective, one dot a trial.
const SLICE = { width: 300, height: 190, left: 52, right: 10, top: 22, bottom: 30 };
// A forest that explains less of trials that it has not seen knows nothing to rank by.
const LEAST_EXPLAINED = 0.1;

function settingTitle(name) {
  return name.replaceAll("_", " ").replaceAll(".", ": ");
}

function importancePart({ name, trials, explained, settings }) {
  const { title } = METRICS.get(name);
  const known = explained >= LEAST_EXPLAINED;
  const most = Math.max(...settings.map(([, mean]) => mean), 1e-9);
  const rows = settings.filter(([, mean], place) => place < 8 && mean > 0).map(([setting, mean, spread]) =>
    el("tr", {}, el("th", { scope: "row" }, settingTitle(setting)),
      el("td", {}, bar(mean / most, 0, mean.toFixed(2), `${mean.toFixed(2)} ± ${spread.toFixed(2)}`))));
  return el("figure", {}, el("figcaption", {}, el("b", {}, title), el("span", { class: "muted small" }, known
    ? ` The settings explain ${percentOf(explained)} of how it differs between trials that the forest has not seen (${trials} trials).`
    : ` The settings do not tell it: of ${trials} trials, a forest explains ${percentOf(Math.max(0, explained))} of those that it has not seen. Nothing is ranked.`)),
  known && rows.length ? el("table", { class: "importance" }, el("caption", { class: "hidden" }, `Importance of settings for ${title}`),
    el("tbody", {}, rows)) : null);
}

class Influence {
  constructor(onSelect) {
    const { metrics, slices, needs } = DATA.influence;
    byId("influence").hidden = TRIALS.id.length === 0;
    byId("influence-note").textContent = metrics.length
      ? "Permutation importance: how much less of the differences a forest of regression trees explains once a setting's values are shuffled, "
        + "on trials that it was not fitted to; 1 is all of them, and more is worse than no forest. Times and counts as logarithms; baselines are left out. "
        + "It is what the forest goes by, not a proof of a cause: settings that go together share it."
      : `Told from ${needs} finished trials on, baselines not counted, where settings and an objective differ.`;
    byId("influence-plots").replaceChildren(...metrics.map(importancePart));
    byId("slices").hidden = slices.length === 0;
    if (!slices.length) return;
    this.metric = metrics[0].name;
    byId("slice-axis").replaceChildren(el("label", {}, "Slices of", el("select", { id: "slice-metric",
      onchange: (event) => { this.metric = event.target.value; this.draw(); } },
    metrics.map(({ name }) => el("option", { value: name }, METRICS.get(name).title)))));
    this.draw();
  }

  // The settings that matter most to this metric come first.
  draw() {
    const rank = new Map(DATA.influence.metrics.find(({ name }) => name === this.metric).settings
      .map(([name], place) => [name, place]));
    const slices = [...DATA.influence.slices].sort((a, b) => rank.get(a.name) - rank.get(b.name));
    byId("slice-plots").replaceChildren(...slices.map((slice) => this.slice(slice)).filter(Boolean));
  }

  slice({ name, values, categories }) {
    const metric = METRICS.get(this.metric), { left, right, top, bottom, width, height } = SLICE;
    const points = values.map((value, place) => [value, DATA.influence.rows[place]])
      .filter(([value, index]) => value !== null && valueOf(index, this.metric) !== null);
    if (points.length < 2) return null;
    const [low, high] = minmax(points.map(([value]) => value));
    const edge = width - right - 8;
    const span = categories ? categories.length : high - low || 1;
    // Dots of one name lie beside each other, always at the same places.
    const across = (value, index) => left + 8 + (edge - left - 8) * (categories
      ? (value + 0.5 + 0.5 * (((index * 0.618) % 1) - 0.5)) / span : (value - low) / span);
    const y = makeAxis(metric, points.map(([, index]) => valueOf(index, this.metric)),
      { start: height - bottom, end: top, log: prefersLog(this.metric), count: 4 });
    const ticks = categories ? categories.map((label, place) => ({ at: left + 8 + (edge - left - 8) * (place + 0.5) / span,
      label: label.length * span > 40 ? `${label.slice(0, Math.max(2, Math.floor(38 / span)))}…` : label }))
      : linearTicks(low, high > low ? high : low + 1, 4).map(({ value, label }) => ({ at: across(value), label }));
    const groups = KINDS.map((kind) => ({ colour: lookOf(kind).colour,
      points: points.filter(([, index]) => TRIALS.kind[index] === kind)
        .map(([value, index]) => [across(value, index), y.at(valueOf(index, this.metric))]) }));
    const label = `${y.title} by ${settingTitle(name)}, ${points.length} trials`;
    const chart = dotChart(label, { ticks: categories && categories.length > 12 ? [] : ticks }, y, groups, SLICE);
    chart.append(svg("text", { class: "title", x: 0, y: 12 }, settingTitle(name)),
      svg("title", {}, categories ? `${label}: ${categories.join(", ")}` : label));
    return el("figure", {}, chart);
  }
}
