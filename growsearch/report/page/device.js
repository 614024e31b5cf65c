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

// Which network for this device, and what is given up? The study's choice, then any other budget.
class DeviceAnswer {
  constructor(onSelect, onDevice) {
    this.onSelect = onSelect;
    this.onDevice = onDevice;
    byId("answer").hidden = DATA.choices.length === 0;
    if (!DATA.choices.length) return;
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
    this.choice = DATA.choices.find((choice) => choice.device === device);
    if (!this.choice) return;
    [...byId("devices").children].forEach((button) => {
      const checked = button.textContent === device;
      button.setAttribute("aria-checked", String(checked));
      button.tabIndex = checked ? 0 : -1;
    });
    this.latency = `latency[${device}]`;
    // The slowest last, so that the budget grows to the right.
    this.ladder = frontOf(this.latency, DATA.quality, meetsBounds);
    this.buildBudget();
    this.render(this.choice.chosen, true);
  }

  render(taken, isStudys) {
    this.renderBudget(taken, isStudys);
    byId("headline").replaceChildren(...this.sentence(taken));
    byId("rule").textContent = isStudys
      ? `Chosen by the study: ${this.choice.rule}.`
      : `Chosen by the budget above. The study's own rule: ${this.choice.rule}.`;
    this.renderCompare(taken);
  }

  // Built once a device: a slider that is replaced while it is dragged lets go.
  buildBudget() {
    byId("budget").hidden = this.ladder.length < 2;
    this.range = el("input", {
      type: "range", id: "budget-range", min: 0, max: Math.max(0, this.ladder.length - 1), step: 1,
      oninput: (event) => {
        const index = this.within(valueOf(this.ladder[Number(event.target.value)], this.latency));
        this.render(index, false);
        this.onSelect(index);
      },
    });
    this.shown = el("output", { for: "budget-range" });
    this.back = el("button", { type: "button", class: "quiet", onclick: () => {
      this.render(this.choice.chosen, true);
      if (this.choice.chosen !== null) this.onSelect(this.choice.chosen);
    } }, "Back to the study's choice");
    byId("budget").replaceChildren(
      el("label", { for: "budget-range" }, `Latency budget on ${this.choice.device}`),
      this.range, this.shown, this.back);
  }

  // The choice inside a budget of seconds and the study's other bounds.
  within(budget) {
    return chooseAmong((index) => {
      const actual = valueOf(index, this.latency);
      return actual !== null && actual <= budget && meetsBounds(index);
    }, costOfTies() === null ? null : this.latency);
  }

  renderBudget(taken, isStudys) {
    const limit = isStudys && this.choice.budget_s !== null
      ? this.choice.budget_s
      : taken === null ? null : isStudys ? valueOf(taken, this.latency)
        : valueOf(this.ladder[Number(this.range.value)], this.latency);
    this.shown.textContent = limit === null ? "none fits" : `at most ${formatValue(limit, SECONDS)}`;
    if (isStudys) this.range.value = String(Math.max(0, this.ladder.indexOf(taken)));
    this.range.setAttribute("aria-valuetext", this.shown.textContent);
    this.back.hidden = isStudys;
  }

  link(index) {
    return el("button", { type: "button", class: "link mono", onclick: () => this.onSelect(index, true) },
      TRIALS.id[index]);
  }

  sentence(taken) {
    const device = this.choice.device;
    if (taken === null) {
      const near = this.choice.nearest;
      return near === null ? [`No network fits on ${device}.`]
        : [`No network fits on ${device}. The nearest miss is `, this.link(near),
          ` (${TRIALS.text[near]}) at ${formatValue(valueOf(near, this.latency), SECONDS)}.`];
    }
    const quality = METRICS.get(DATA.quality);
    const { method } = latencyParts(device, taken);
    const best = this.choice.most_accurate;
    const start = [`On ${device}, take `, this.link(taken), ` (${TRIALS.text[taken]}): `,
      `${formatValue(valueOf(taken, DATA.quality), quality)} ${quality.title.toLowerCase()} in `,
      `${formatValue(valueOf(taken, this.latency), SECONDS)}${method ? ` (${method})` : ""}.`];
    if (best === taken) return [...start, ` No compared network has a better ${quality.title.toLowerCase()}.`];
    const lost = formatChange(valueOf(taken, DATA.quality), valueOf(best, DATA.quality), quality);
    const within = DATA.quality === "accuracy" && DATA.examples !== null
      && valueOf(taken, "accuracy") >= valueOf(best, "accuracy") - oneError(valueOf(best, "accuracy")) - 1e-12
      ? `(within one standard error of ${withCommas(DATA.examples)} examples) ` : "";
    return [...start, ` Against the most accurate network it gives up ${lost.replace(/^[+−]/, "")} ${within}`,
      `and ${fasterText(taken, best, this.latency)}.`];
  }

  renderCompare(taken) {
    const columns = [
      ["The choice", taken], ["Most accurate", this.choice.most_accurate],
      ["Smallest", this.choice.smallest],
    ].filter(([, index]) => index !== null);
    const names = [DATA.quality, "test_accuracy", this.latency, "macs", "parameters", "training_macs"]
      .filter((name, place, all) => METRICS.has(name) && all.indexOf(name) === place);
    const cls = (index) => (index === taken ? "taken" : "");
    byId("compare").replaceChildren(
      el("thead", {}, el("tr", {}, el("th", {}, ""), columns.map(([heading, index], place) =>
        el("th", { scope: "col", class: place ? "" : cls(index) }, heading)))),
      el("tbody", {},
        el("tr", {}, el("th", { scope: "row" }, "Network"), columns.map(([, index], place) =>
          el("td", { class: place ? "" : cls(index) }, this.link(index), el("span", { class: "sub" }, TRIALS.text[index])))),
        names.map((name) => el("tr", {}, el("th", { scope: "row" }, METRICS.get(name).title),
          columns.map(([, index], place) => el("td", { class: place ? "" : cls(index) },
            ...this.cell(name, index, place ? taken : null)))))),
    );
  }

  cell(name, index, base) {
    const metric = METRICS.get(name);
    const value = valueOf(index, name);
    const change = base === null || base === index ? "" : formatChange(value, valueOf(base, name), metric);
    const parts = [formatValue(value, metric)];
    if (name === this.latency) {
      const { method, extra } = latencyParts(this.choice.device, index);
      parts.push(" ", methodChip(method), extra ? el("span", { class: "sub" }, extra) : "");
    }
    const dense = { macs: "dense_macs", parameters: "dense_parameters" }[name];
    if (dense && METRICS.has(dense) && valueOf(index, dense) !== null) {
      parts.push(el("span", { class: "sub" }, `of ${formatValue(valueOf(index, dense), COUNT)} dense`));
    }
    if (change) parts.splice(name === this.latency ? 3 : 1, 0, el("span", { class: "change" }, change));
    return parts;
  }
}
