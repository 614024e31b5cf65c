// How do two networks differ? One is kept, the study's choice at first; the other is the one that
// is pointed at, else the selected one.
class Versus {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.kept = null;
    this.selected = null;
    this.over = null;
    byId("versus-keep").addEventListener("click", () => this.keep(this.selected));
  }

  keep(index) {
    this.kept = index;
    this.render();
  }

  select(index) {
    this.selected = index;
    if (this.kept === null) this.kept = index;
    this.over = null;
    this.render();
  }

  hover(index) {
    if (this.over === index) return;
    this.over = index;
    this.render();
  }

  // Where the selected one is the kept one, the person's own or the best stands beside it.
  other() {
    const candidates = [this.over, this.selected, firstBaseline(), ...DATA.front];
    return candidates.find((index) => index !== null && index !== this.kept) ?? null;
  }

  render() {
    const other = this.other();
    byId("versus").hidden = this.kept === null || other === null;
    if (byId("versus").hidden) return;
    byId("versus-keep").hidden = this.selected === this.kept;
    byId("versus-keep").textContent = `Keep ${TRIALS.id[this.selected]} for comparison`;
    const pair = [this.kept, other];
    byId("versus-figures").replaceChildren(
      el("thead", {}, el("tr", {}, el("td", {}), pair.map((index, place) => el("th", { scope: "col" },
        place ? "The other " : "Kept ", this.link(index), el("span", { class: "sub" }, this.named(index)))),
      el("th", { scope: "col" }, "The other is"))),
      el("tbody", {}, DATA.metrics.filter((metric) => pair.some((index) => valueOf(index, metric.name) !== null))
        .map((metric) => el("tr", {}, el("th", { scope: "row" }, metric.title),
          pair.map((index) => el("td", { class: "nowrap" }, formatValue(valueOf(index, metric.name), metric))),
          el("td", { class: this.verdict(metric, pair) }, formatChange(valueOf(other, metric.name), valueOf(this.kept, metric.name), metric))))));
    byId("versus-layers").replaceChildren(...this.layers(pair));
  }

  named(index) {
    const own = baselineTitle(index);
    return `${own ? `★ ${own.toLowerCase()}: ` : ""}${TRIALS.text[index]}`;
  }

  link(index) {
    return el("button", { type: "button", class: "link mono", onclick: () => this.onSelect(index, true) }, TRIALS.id[index]);
  }

  verdict(metric, [kept, other]) {
    const gap = signOf(metric.name) * (valueOf(other, metric.name) - valueOf(kept, metric.name));
    return !metric.objective || !gap || Number.isNaN(gap) ? "nowrap" : gap < 0 ? "nowrap gain" : "nowrap loss";
  }

  layers(pair) {
    const found = pair.map((index) => DATA.details[TRIALS.id[index]]?.layers ?? []);
    if (found.some((layers) => !layers.length)) return [];
    const byName = found.map((layers) => new Map(layers.map((layer) => [layer.name, layer])));
    const names = [...new Set(found.flatMap((layers) => layers.map((layer) => layer.name)))];
    const devices = [...new Set(found.flat().flatMap((layer) => Object.keys(layer.latency_share || {})))];
    const measures = [
      ["MACs", (layer) => layer.effective_macs, (value) => formatValue(value, COUNT)],
      ...devices.map((device) => [`Time, ${device}`, (layer) => (layer.latency_share || {})[device], percentOf]),
    ].map(([title, value, say]) => ({ title, value, say,
      most: Math.max(...found.flat().map((layer) => value(layer) || 0)) || 1 }));
    const cells = (name) => measures.map(({ value, say, most, title }) => el("td", {}, pair.map((index, place) => {
      const layer = byName[place].get(name), amount = layer && value(layer);
      return amount === undefined ? el("div", { class: "bar" }, "–")
        : bar(amount / most, 0, say(amount), `${title} of ${name} in ${TRIALS.id[index]}: ${say(amount)}`);
    })));
    return [
      el("thead", {}, el("tr", {}, ["Layer, outputs", ...measures.map(({ title }) => title)]
        .map((title) => el("th", { scope: "col" }, title)))),
      el("tbody", {}, names.map((name) => el("tr", {}, el("th", { scope: "row", class: "where" },
        el("div", { class: "mono", title: name }, name), el("div", { class: "muted" }, byName.map((layers) =>
          (layers.has(name) ? layers.get(name).output_shape.join("×") : "not there")).join(" | "))), cells(name)))),
    ];
  }
}
