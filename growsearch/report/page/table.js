// Which networks are there? The front of all objectives at first, then any others: a table that
// sorts, filters by kind and by text, and is walked through with the arrow keys.
const ROWS = 100;

class NetworkTable {
  constructor(host, onSelect, onPoint) {
    this.host = host;
    this.onSelect = onSelect;
    const point = (event) => {
      const row = event.target.closest("tbody tr");
      onPoint(row ? Number(row.dataset.index) : null);
    };
    for (const kind of ["pointerover", "focusin"]) host.addEventListener(kind, point);
    for (const kind of ["pointerleave", "focusout"]) host.addEventListener(kind, () => onPoint(null));
    this.scope = "front";
    this.kind = "";
    this.words = [];
    this.only = null;
    this.most = ROWS;
    this.front = new Set(DATA.front);
    host.addEventListener("keydown", (event) => this.walk(event));
    this.columns = [
      { title: "Network", value: (index) => TRIALS.id[index], ascending: true },
      { title: "Made by", value: (index) => TRIALS.text[index], ascending: true },
      ...this.metricColumns(),
    ];
    this.sorted = this.columns.findIndex((column) => column.name === DATA.quality);
    this.ascending = this.columns[this.sorted].ascending;
    this.buildTools();
    this.render();
  }

  buildTools() {
    const scopes = [["front", "the front"], ["compared", "all compared"], ["all", "all finished"]];
    const change = (set) => (event) => {
      set(event.target.value);
      this.most = ROWS;
      this.render();
    };
    const kinds = [["", "all kinds"], ...KINDS.map((kind) => [kind, lookOf(kind).title])];
    const picker = (id, label, options, set) => el("label", {}, label, el("select", { id, onchange: change(set) },
      options.map(([value, title]) => el("option", { value }, title))));
    this.count = el("span", { class: "muted small", role: "status" });
    byId("table-tools").replaceChildren(
      picker("table-scope", "Show", scopes, (value) => { this.scope = value; }),
      picker("table-kind", "Kind", kinds, (value) => { this.kind = value; }),
      el("label", {}, "Filter", el("input", { id: "table-words", type: "search", placeholder: "id or words",
        oninput: change((value) => { this.words = value.toLowerCase().split(/\s+/).filter(Boolean); }) })),
      this.count);
  }

  shown(index) {
    if (this.scope === "front" && !this.front.has(index)) return false;
    if (this.scope === "compared" && !TRIALS.feasible[index]) return false;
    if (this.only !== null && !this.only(index)) return false;
    if (this.kind && TRIALS.kind[index] !== this.kind) return false;
    const text = `${TRIALS.id[index]} ${lookOf(TRIALS.kind[index]).title} ${TRIALS.text[index]}`.toLowerCase();
    return this.words.every((word) => text.includes(word));
  }

  // Leave out what `only` does not tell to be inside; null has no limits.
  limit(only) {
    this.only = only;
    this.most = ROWS;
    this.render();
  }

  walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const links = [...this.host.querySelectorAll("tbody .link")];
    const here = links.indexOf(document.activeElement);
    if (!step || here < 0) return;
    event.preventDefault();
    links[Math.min(links.length - 1, Math.max(0, here + step))].focus();
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
    const places = this.scope === "front" ? DATA.front : TRIALS.id.map((_, index) => index);
    return places.filter((index) => this.shown(index)).sort((a, b) => {
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
    const found = this.ordered(), left = found.length - this.most;
    const all = this.scope === "front" ? DATA.front.length : TRIALS.id.length;
    this.count.textContent = found.length === all ? `${all} networks` : `${found.length} of ${all} networks`;
    byId("table-more").hidden = left <= 0;
    byId("table-more").textContent = `Show ${Math.min(ROWS, left)} more`;
    byId("table-more").onclick = () => { this.most += ROWS; this.render(); };
    const rows = found.slice(0, this.most).map((index) => {
      const row = el("tr", { "aria-selected": "false", onclick: () => this.onSelect(index) },
        this.columns.map((column, place) => this.cell(column, place, index)));
      if (baselineTitle(index)) row.cells[0].append(" ★");
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
