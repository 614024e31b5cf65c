// Which network is best inside a person's own bounds? The choice of `growsearch select`, again.
// A study's bound is shown as it was written: 0.14 ms is 0.00014 s, without the last bit's noise.
const STEP_DIGITS = 4, STUDY_DIGITS = 12;

// A bound is short to read and never stricter than the value that it was taken from.
function looseBound(value, sense) {
  const short = Number(value.toPrecision(STEP_DIGITS));
  if (sense === "max" ? short >= value : short <= value) return short;
  const step = 10 ** (Math.floor(Math.log10(Math.abs(value))) - STEP_DIGITS + 1);
  return Number((short + (sense === "max" ? step : -step)).toPrecision(STEP_DIGITS));
}

function senseOf(name) {
  return METRICS.get(name).direction === "maximize" ? "min" : "max";
}

// Smaller is better: the objectives in their order, then the id, as in growsearch.pareto.
function compareTrials(a, b) {
  for (const { name, objective } of DATA.metrics) {
    if (!objective) continue;
    const gap = signOf(name) * (valueOf(a, name) - valueOf(b, name));
    if (gap) return gap;
  }
  return TRIALS.id[a] < TRIALS.id[b] ? -1 : 1;
}

function firstOf(indices) {
  return indices.reduce((best, index) =>
    (best === null || compareTrials(index, best) < 0 ? index : best), null);
}

// Of a finished network's seeds the first alone: the others would be chosen by the test.
function mayBeChosen(index) {
  return TRIALS.feasible[index] && (DATA.only === null || DATA.only.includes(index));
}

// `fits` tells of an index whether it may be chosen; ties of accuracy go to the least `cost`.
function chooseAmong(fits, cost) {
  const fitting = TRIALS.id.map((_, index) => index)
    .filter((index) => mayBeChosen(index) && fits(index));
  const best = firstOf(fitting);
  if (best === null || cost === null || !fewExamples(valueOf(best, "accuracy"))) return best;
  // The one-standard-error rule, as growsearch.pareto.ties has it.
  const least = valueOf(best, "accuracy") - oneError(valueOf(best, "accuracy")) - 1e-12;
  const tied = fitting.filter((index) => valueOf(index, "accuracy") >= least);
  const cheapest = tied.reduce((low, index) =>
    (valueOf(index, cost) < valueOf(low, cost) ? index : low));
  const limit = minmax(tied.filter((index) => !toldApart(index, cheapest, cost))
    .map((index) => valueOf(index, cost)))[1];
  return firstOf(tied.filter((index) => valueOf(index, cost) <= limit));
}

// By which objective ties of accuracy go to the cheapest; null where there are none.
function costOfTies() {
  const objectives = DATA.metrics.filter((metric) => metric.objective);
  const [first] = objectives;
  if (DATA.examples === null || first.name !== "accuracy" || first.direction !== "maximize") return null;
  const cost = objectives.find((metric) => metric.direction === "minimize"
    && ["time", "energy", "count"].includes(metric.kind));
  return cost ? cost.name : null;
}

// The values of compared networks that a bound can stop at, the strictest first.
function ladderOf(name) {
  const found = new Set();
  for (let index = 0; index < TRIALS.id.length; index += 1) {
    const value = valueOf(index, name);
    if (mayBeChosen(index) && value !== null) found.add(value);
  }
  const sign = senseOf(name) === "max" ? 1 : -1;
  return [...found].sort((a, b) => sign * (a - b));
}

// Where a bound lies on a ladder: the loosest value that is inside it.
function rungOf(steps, name, bound) {
  const inside = (value) => (senseOf(name) === "max" ? value <= bound : value >= bound);
  return bound === undefined ? steps.length - 1 : Math.max(0, steps.filter(inside).length - 1);
}

function saidBound(name, value) {
  return `${senseOf(name) === "max" ? "at most" : "at least"} ${formatValue(value, METRICS.get(name))}`;
}

// How far a value misses a bound, of the bound; 0 where it meets it. Bounds are [name, value], or
// [name, value, sense] where the sense is not that of the metric.
function excessOf(index, [name, value, sense = senseOf(name)]) {
  const actual = TRIALS.values[name] ? valueOf(index, name) : null;
  if (actual === null) return Infinity;
  const excess = Math.max(0, sense === "max" ? actual - value : value - actual);
  return value === 0 ? excess : excess / Math.abs(value);
}

// The result is a trial's index, or null where nothing fits.
function chooseInside(bounds) {
  return chooseAmong((index) => !bounds.some((bound) => excessOf(index, bound) > 0), costOfTies());
}

// The network whose worst miss is least, by which `growsearch select` tells what nearly fits.
function nearestTo(bounds) {
  let nearest = null, least = Infinity;
  for (let index = 0; index < TRIALS.id.length; index += 1) {
    if (!mayBeChosen(index)) continue;
    const worst = Math.max(0, ...bounds.map((bound) => excessOf(index, bound)));
    const nearer = worst < least || (worst === least && nearest !== null && TRIALS.id[index] < TRIALS.id[nearest]);
    if (nearer) [nearest, least] = [index, worst];
  }
  return nearest;
}

// Every value that misses its bound, and by how much of it.
function missesOf(index, bounds) {
  return bounds.flatMap((bound) => {
    const metric = METRICS.get(bound[0]);
    const excess = metric ? excessOf(index, bound) : 0;
    return excess > 0 && excess < Infinity ? [`${metric.title.toLowerCase()} ${formatValue(valueOf(index, bound[0]), metric)} `
      + `misses its bound by ${(100 * excess).toFixed(1)} %`] : [];
  });
}

class BoundChoice {
  constructor(onSelect) {
    this.onSelect = onSelect;
    // By objective, whose names may be those of anything.
    this.parts = new Map();
    const wanted = ["macs", "parameters"];
    this.names = DATA.metrics.filter((metric) => metric.objective || wanted.includes(metric.name))
      .map((metric) => metric.name).filter((name) => ladderOf(name).length > 1);
    byId("bounds").hidden = this.names.length === 0;
    this.values = new Map(DATA.wishes.filter(([name, sense]) =>
      this.names.includes(name) && sense === senseOf(name))
      .map(([name, , value]) => [name, Number(value.toPrecision(STUDY_DIGITS))]));
    byId("sliders").replaceChildren(...this.names.flatMap((name) => this.slider(name)));
    // Until a bound is moved, it is the study's own choice.
    this.moved = false;
    byId("bounds-reset").addEventListener("click", () => {
      this.values.clear();
      this.names.forEach((name) => this.place(name));
      this.render(true);
    });
    this.render(false);
  }

  slider(name) {
    const steps = ladderOf(name);
    const range = el("input", {
      type: "range", id: `bound-${name}`, min: 0, max: steps.length - 1, step: 1,
      oninput: (event) => {
        const place = Number(event.target.value);
        if (place === steps.length - 1) this.values.delete(name);
        else this.values.set(name, looseBound(steps[place], senseOf(name)));
        this.render(true);
      },
    });
    const shown = el("output", { for: `bound-${name}` });
    this.parts.set(name, { range, steps, shown });
    this.place(name);
    return [el("label", { for: `bound-${name}` }, METRICS.get(name).title), range, shown];
  }

  place(name) {
    const { range, steps } = this.parts.get(name);
    range.value = String(rungOf(steps, name, this.values.get(name)));
  }

  render(moved) {
    for (const name of this.names) {
      const bound = this.values.get(name);
      const { range, shown } = this.parts.get(name);
      shown.textContent = bound === undefined ? "no bound" : saidBound(name, bound);
      range.setAttribute("aria-valuetext", shown.textContent);
    }
    this.moved ||= moved;
    const bounds = [...this.values];
    const chosen = this.moved ? chooseInside(bounds) : DATA.choice.chosen;
    const nearest = chosen !== null ? null : this.moved ? nearestTo(bounds) : DATA.choice.nearest;
    byId("bounds-choice").replaceChildren(...this.sentence(chosen, nearest, bounds));
    byId("bounds-command").textContent = this.command(bounds);
    if (moved && (chosen ?? nearest) !== null) this.onSelect(chosen ?? nearest);
  }

  link(index) {
    return el("button", { type: "button", class: "link mono", onclick: () => this.onSelect(index, true) },
      TRIALS.id[index]);
  }

  sentence(chosen, nearest, bounds) {
    if (chosen === null && nearest === null) return ["No network fits. Loosen a bound."];
    if (chosen === null) {
      const misses = missesOf(nearest, bounds).join(", ");
      return ["No network fits. The nearest miss is ", this.link(nearest), ` (${TRIALS.text[nearest]})`,
        misses ? `: ${misses}.` : ".", " Loosen a bound."];
    }
    const figures = DATA.metrics.filter((metric) => metric.objective)
      .map((metric) => `${metric.title.toLowerCase()} ${formatValue(valueOf(chosen, metric.name), metric)}`);
    return ["Take ", this.link(chosen), ` (${TRIALS.text[chosen]}): ${figures.join(", ")}.`,
      this.moved || !DATA.choice.ties ? "" : ` ${DATA.choice.ties}`];
  }

  command(bounds) {
    const unit = (name) => METRICS.get(name).base;
    const options = bounds.map(([name, value]) => ` --${senseOf(name)} '${name}=${value}${unit(name)}'`);
    // Without any flag the command takes the study's choice.
    if (this.moved && !options.length) return "growsearch select RUN --prefer accuracy";
    return `growsearch select RUN${this.moved ? options.join("") : ""}`;
  }
}
