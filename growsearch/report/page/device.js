// "is 2.0 times as fast", as growsearch.report.choice.told_apart says it.
function fasterText(taken, best, name) {
  if (!toldApart(taken, best, name)) {
    return valueOf(taken, name) === valueOf(best, name) ? "is as fast" : "cannot be told from it in latency";
  }
  const ratio = valueOf(best, name) / valueOf(taken, name);
  const percent = (share) => `${Number((100 * share).toPrecision(2))} %`;
  if (ratio >= 1.1) return `is ${ratio.toFixed(1)} times as fast`;
  if (ratio > 1) return `is ${percent(ratio - 1)} faster`;
  return ratio > 1 / 1.1 ? `takes ${percent(1 / ratio - 1)} longer`
    : `takes ${(1 / ratio).toFixed(1)} times as long`;
}

// Which network for this device, and what is given up? The study's choice, then any other budget,
// beside the person's own network and the smallest.

// A run without a latency has one answer: by the study's choice and its second objective.
function answersOf() {
  if (DATA.choices.length || !DATA.choice) return DATA.choices.map((choice) => ({ ...choice, cost: `latency[${choice.device}]` }));
  const cost = DATA.metrics.find((metric) => metric.objective && metric.name !== DATA.quality);
  const compared = TRIALS.id.map((_, index) => index).filter((index) => TRIALS.feasible[index]);
  const sizes = TRIALS.values.parameters ? "parameters" : cost && cost.name;
  const sized = sizes ? compared.filter((index) => valueOf(index, sizes) !== null) : [];
  const wish = DATA.wishes.find(([name]) => cost && name === cost.name);
  return [{
    ...DATA.choice, device: null, cost: cost ? cost.name : null, budget_s: wish ? wish[2] : null,
    most_accurate: [...compared].sort(compareTrials)[0],
    smallest: sized.sort((a, b) => valueOf(a, sizes) - valueOf(b, sizes) || compareTrials(a, b))[0] ?? null,
  }];
}

// Of the networks that are compared with, the person's own comes first.
const BASELINE_TITLES = { mine: "Yours", dense: "Dense", uniform: "Uniform" };

function baselineTitle(index) {
  const which = DATA.baselines.find(([place]) => place === index);
  return which ? BASELINE_TITLES[which[1]] : null;
}

function firstBaseline() {
  const ordered = Object.keys(BASELINE_TITLES)
    .flatMap((which) => DATA.baselines.filter(([, name]) => name === which));
  return ordered.length ? ordered[0][0] : null;
}

class Answer {
  constructor(onSelect, onDevice) {
    this.onSelect = onSelect;
    this.onDevice = onDevice;
    this.answers = answersOf();
    byId("answer").hidden = this.answers.length === 0;
    byId("devices").hidden = DATA.choices.length === 0;
    byId("devices").replaceChildren(...DATA.choices.map((choice, place) => el("button", {
      type: "button", role: "radio", "aria-checked": "false", tabindex: place ? -1 : 0,
      onclick: () => onDevice(choice.device),
      onkeydown: (event) => this.move(event, place),
    }, choice.device)));
  }

  move(event, place) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = (place + step + DATA.choices.length) % DATA.choices.length;
    this.onDevice(DATA.choices[next].device);
    byId("devices").children[next].focus();
  }

  show(device) {
    this.choice = this.answers.find((answer) => answer.device === device);
    if (!this.choice) return;
    [...byId("devices").children].forEach((button) => {
      const checked = button.textContent === device;
      button.setAttribute("aria-checked", String(checked));
      button.tabIndex = checked ? 0 : -1;
    });
    this.cost = this.choice.cost;
    // The first is the study's own device, whose choice meets the bounds on other devices as well.
    const bounds = this.choice.device === this.answers[0].device ? DATA.wishes
      : DATA.bounds.map(({ objective, sense, value }) => [objective, sense, value]);
    this.others = bounds.filter(([name]) => name !== this.cost)
      .map(([name, sense, value]) => [name, value, sense]);
    this.ladder = this.cost ? ladderOf(this.cost) : [];
    this.buildBudget();
    this.render({ chosen: this.choice.chosen, nearest: this.choice.nearest }, null);
  }

  // `limit` is what the budget was moved to, null where the study chooses.
  render({ chosen, nearest }, limit) {
    this.renderBudget(chosen, limit);
    byId("headline").replaceChildren(...(chosen === null ? this.miss(nearest, limit) : this.sentence(chosen)));
    byId("beside").replaceChildren(...(chosen === null ? [] : [...this.besideOwn(chosen), this.zeros(chosen)]));
    byId("rule").textContent = limit === null
      ? `Chosen by the study: ${this.choice.rule}.`
      : `Chosen by the budget above. The study's own rule: ${this.choice.rule}.`;
    this.renderCompare(chosen, nearest);
  }

  // Built once a device: a slider that is replaced while it is dragged lets go.
  buildBudget() {
    byId("budget").hidden = this.ladder.length < 2;
    if (byId("budget").hidden) return;
    this.range = el("input", {
      type: "range", id: "budget-range", min: 0, max: this.ladder.length - 1, step: 1,
      oninput: (event) => this.take(looseBound(this.ladder[Number(event.target.value)], senseOf(this.cost))),
    });
    this.shown = el("output", { for: "budget-range" });
    this.back = el("button", { type: "button", class: "quiet", onclick: () => {
      this.render({ chosen: this.choice.chosen, nearest: this.choice.nearest }, null);
      if (this.choice.chosen !== null) this.onSelect(this.choice.chosen);
    } }, "Back to the study's choice");
    const words = this.choice.device === null ? METRICS.get(this.cost).title : `Latency budget on ${this.choice.device}`;
    byId("budget").replaceChildren(el("label", { for: "budget-range" }, words), this.range, this.shown, this.back);
  }

  take(limit) {
    const bounds = [...this.others, [this.cost, limit]];
    // Ties of accuracy go to what is cheapest here.
    const chosen = chooseAmong((index) => !bounds.some((bound) => excessOf(index, bound) > 0),
      costOfTies() === null ? null : this.cost);
    const nearest = chosen === null ? nearestTo(bounds) : null;
    this.render({ chosen, nearest }, limit);
    const index = chosen ?? nearest;
    if (index !== null) this.onSelect(index);
  }

  renderBudget(chosen, limit) {
    if (byId("budget").hidden) return;
    const studys = this.choice.budget_s ?? (chosen === null ? null : valueOf(chosen, this.cost));
    const bound = limit ?? studys;
    this.shown.textContent = bound === null ? "none fits" : saidBound(this.cost, bound);
    if (limit === null) this.range.value = String(rungOf(this.ladder, this.cost, studys ?? undefined));
    this.range.setAttribute("aria-valuetext", this.shown.textContent);
    this.back.hidden = limit === null;
  }

  link(index) {
    return el("button", { type: "button", class: "link mono", onclick: () => this.onSelect(index, true) },
      TRIALS.id[index]);
  }

  miss(nearest, limit) {
    const where = this.choice.device === null ? "" : ` on ${this.choice.device}`;
    if (nearest === null) return [`No network fits${where}.`];
    const asked = limit === null ? DATA.wishes.map(([name, sense, value]) => [name, value, sense])
      : [...this.others, [this.cost, limit]];
    const misses = missesOf(nearest, asked);
    return [`No network fits${where}. The nearest miss is `, this.link(nearest), ` (${TRIALS.text[nearest]})`,
      misses.length ? `: ${misses.join(", ")}.`
        : this.cost ? ` at ${formatValue(valueOf(nearest, this.cost), METRICS.get(this.cost))}.` : "."];
  }

  sentence(taken) {
    const { device } = this.choice;
    const quality = METRICS.get(DATA.quality);
    const { method } = device === null ? { method: null } : latencyParts(device, taken);
    const cost = this.cost && METRICS.get(this.cost);
    const figure = cost && formatValue(valueOf(taken, this.cost), cost);
    const best = this.choice.most_accurate;
    const start = [device === null ? "Take " : `On ${device}, take `, this.link(taken), ` (${TRIALS.text[taken]}): `,
      `${formatValue(valueOf(taken, DATA.quality), quality)} ${quality.title.toLowerCase()}`,
      !cost ? "." : device === null ? `, ${cost.title} ${figure}.` : ` in ${figure}${method ? ` (${method})` : ""}.`];
    if (best === taken) return [...start, ` No compared network has a better ${quality.title.toLowerCase()}.`];
    const change = formatChange(valueOf(taken, DATA.quality), valueOf(best, DATA.quality), quality);
    const lost = quality.kind === "share" || change === "the same" ? change
      : formatValue(Math.abs(valueOf(taken, DATA.quality) - valueOf(best, DATA.quality)), quality);
    if (!cost || !lost) return start;
    const within = DATA.quality === "accuracy" && DATA.examples !== null
      && valueOf(taken, "accuracy") >= valueOf(best, "accuracy") - oneError(valueOf(best, "accuracy")) - 1e-12
      ? `(within one standard error of ${withCommas(DATA.examples)} examples) ` : "";
    return [...start, lost === "the same" ? " It is as good as the best network " : ` Against the most accurate network it gives up ${lost.replace(/^[+−]/, "")} ${within}`,
      `and ${this.gain(taken, best)}.`];
  }

  gain(taken, other) {
    if (this.choice.device !== null) return fasterText(taken, other, this.cost);
    const factor = valueOf(other, this.cost) / valueOf(taken, this.cost);
    const { title } = METRICS.get(this.cost);
    return !Number.isFinite(factor) || factor.toFixed(1) === "1.0" ? `needs about as many ${title}`
      : `has ${(1 / factor).toPrecision(2)}× the ${title}`;
  }

  zeros(taken) {
    const told = this.choice.device === null ? "" : zerosOn(taken, this.choice.device);
    return told && ` ${told}`;
  }

  besideOwn(taken) {
    const own = firstBaseline();
    if (own === null || own === taken) return [];
    const names = [DATA.quality, this.cost, "parameters"].filter((name) => name && METRICS.has(name));
    const parts = [...new Set(names)].map((name) => {
      const change = formatChange(valueOf(taken, name), valueOf(own, name), METRICS.get(name));
      return change && `${METRICS.get(name).title.toLowerCase()} ${change}`;
    }).filter(Boolean);
    return parts.length ? [`Against ${baselineTitle(own).toLowerCase()} ★: ${parts.join(", ")}.`] : [];
  }

  // The choice, the person's own network and the smallest, where it is any smaller.
  columns(taken, nearest) {
    const first = taken ?? nearest, own = firstBaseline();
    const columns = [[taken === null ? "Nearest miss" : "The choice", first]];
    if (own === first && own !== null) columns[0][0] += ` ★ ${baselineTitle(own).toLowerCase()}`;
    if (own !== null && own !== first) columns.push([`★ ${baselineTitle(own)}`, own]);
    else columns.push(["Most accurate", this.choice.most_accurate]);
    const name = METRICS.has("parameters") ? "parameters" : this.cost;
    const { smallest } = this.choice;
    if (name && smallest !== null && first !== null
      && formatValue(valueOf(smallest, name), METRICS.get(name)) !== formatValue(valueOf(first, name), METRICS.get(name))
      && valueOf(smallest, name) < valueOf(first, name)) columns.push(["Smallest", smallest]);
    return columns.filter(([, index], place) => index !== null && columns.findIndex(([, other]) => other === index) === place);
  }

  renderCompare(taken, nearest) {
    const columns = this.columns(taken, nearest);
    const names = [DATA.quality, "test_accuracy", this.cost, "macs", "parameters", "training_macs"]
      .filter((name, place, all) => METRICS.has(name) && all.indexOf(name) === place);
    const cls = (place) => (place ? "" : "taken");
    // The roles stay where a narrow window folds the rows.
    const row = (head, cells) => el("tr", { role: "row" }, head, cells);
    const headed = (title, cell) => row(el("th", { scope: "row", role: "rowheader" }, title),
      columns.map(([, index], place) => el("td", { role: "cell", class: cls(place) }, ...cell(index, place))));
    byId("compare").setAttribute("role", "table");
    byId("compare").className = `compare of-${columns.length}`;
    byId("compare").replaceChildren(
      el("thead", { role: "rowgroup" }, row(el("td", { class: "corner", role: "cell" }), columns.map(([heading], place) =>
        el("th", { scope: "col", role: "columnheader", class: cls(place) }, heading)))),
      el("tbody", { role: "rowgroup" },
        headed("Network", (index) => [this.link(index), el("span", { class: "sub" }, TRIALS.text[index])]),
        names.map((name) => headed(METRICS.get(name).title,
          (index, place) => this.cell(name, index, place ? columns[0][1] : null)))),
    );
  }

  cell(name, index, base) {
    const metric = METRICS.get(name);
    const value = valueOf(index, name);
    const change = base === null || base === index ? "" : formatChange(value, valueOf(base, name), metric);
    const parts = [el("span", { class: "nowrap" }, formatValue(value, metric)), " "];
    if (deviceOf(name)) {
      const { method, extra } = latencyParts(deviceOf(name), index);
      parts.push(methodChip(method), " ");
      if (change) parts.push(el("span", { class: "change" }, change));
      if (extra) parts.push(el("span", { class: "sub" }, extra));
      return parts;
    }
    if (change) parts.push(el("span", { class: "change" }, change));
    const dense = { macs: "dense_macs", parameters: "dense_parameters" }[name];
    if (dense && METRICS.has(dense) && ![null, value].includes(valueOf(index, dense))) {
      parts.push(el("span", { class: "sub" }, `of ${formatValue(valueOf(index, dense), COUNT)} dense`));
    }
    return parts;
  }
}
