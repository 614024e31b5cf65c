// Which networks are on the front of all objectives? A table that sorts.
class FrontTable {
  constructor(host, onSelect) {
    this.host = host;
    this.onSelect = onSelect;
    this.columns = [
      { title: "Network", value: (index) => TRIALS.id[index], ascending: true },
      { title: "Made by", value: (index) => TRIALS.text[index], ascending: true },
      ...this.metricColumns(),
    ];
    this.sorted = this.columns.findIndex((column) => column.name === DATA.quality);
    this.ascending = this.columns[this.sorted].ascending;
    this.render();
  }

  metricColumns() {
    const extra = ["macs", "parameters"];
    return DATA.metrics.filter((metric) => metric.objective || extra.includes(metric.name))
      .map((metric) => ({
        name: metric.name, title: metric.title, numeric: true, metric,
        value: (index) => valueOf(index, metric.name), ascending: metric.direction === "minimize",
      }));
  }

  show(index) {
    this.selected = index;
    for (const row of this.host.querySelectorAll("tbody tr")) {
      row.setAttribute("aria-selected", String(Number(row.dataset.index) === index));
    }
  }

  sort(place) {
    this.ascending = place === this.sorted ? !this.ascending : this.columns[place].ascending;
    this.sorted = place;
    this.render();
    this.host.querySelectorAll(".sort")[place].focus();
  }

  ordered() {
    const { value } = this.columns[this.sorted];
    const sign = this.ascending ? 1 : -1;
    return [...DATA.front].sort((a, b) => {
      const one = value(a), other = value(b);
      if (one === other) return a - b;
      if (one === null) return 1;
      if (other === null) return -1;
      return sign * (one < other ? -1 : 1);
    });
  }

  render() {
    const heads = this.columns.map((column, place) => {
      const active = place === this.sorted;
      const mark = active ? (this.ascending ? "↑" : "↓") : "";
      return el("th", {
        scope: "col", class: column.numeric ? "num" : "",
        "aria-sort": active ? (this.ascending ? "ascending" : "descending") : "none",
      }, el("button", { type: "button", class: "sort", onclick: () => this.sort(place) },
        column.title, el("span", { class: "mark", "aria-hidden": "true" }, mark)));
    });
    const rows = this.ordered().map((index) => {
      const row = el("tr", { "aria-selected": "false", onclick: () => this.onSelect(index) },
        this.columns.map((column, place) => this.cell(column, place, index)));
      row.dataset.index = String(index);
      return row;
    });
    this.host.replaceChildren(el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows));
    this.show(this.selected);
  }

  cell(column, place, index) {
    if (!column.numeric) {
      const text = column.value(index);
      return el("td", { class: place ? "" : "mono" }, place ? text.replace(" %", "\u00a0%") : el("button", { type: "button", class: "link mono" }, text));
    }
    const device = deviceOf(column.name);
    const parts = [formatValue(column.value(index), column.metric)];
    const { name } = column;
    if (name === "accuracy" && METRICS.has("test_accuracy")) {
      parts.push(el("span", { class: "sub" }, `test ${formatValue(valueOf(index, "test_accuracy"), column.metric)}`));
    } else if (METRICS.has(`dense_${name}`) && valueOf(index, `dense_${name}`) !== null) {
      parts.push(el("span", { class: "sub" }, `of ${formatValue(valueOf(index, `dense_${name}`), COUNT)}`));
    }
    if (device) {
      const { method } = latencyParts(device, index);
      const noise = TRIALS.latency[device] ? formatNoise(TRIALS.latency[device].noise[index]) : "";
      parts.push(...[method, noise].filter(Boolean).map((line) => el("span", { class: "sub" }, line)));
    }
    return el("td", { class: "num" }, ...parts);
  }
}
