// Where does a value lie on an axis, and which ticks does it get?
function unitOf(metric, largest) {
  if (metric.kind === "share") return { factor: 0.01, unit: "%" };
  if (metric.kind === "plain") return { factor: 1, unit: "" };
  const prefixes = metric.base ? SMALL : LARGE;
  const [factor, prefix] = prefixes.find(([size]) => largest >= size) ||
    prefixes[prefixes.length - 1];
  const words = { T: "trillion", G: "billion", M: "million", k: "thousand", "": "" };
  return { factor, unit: metric.base ? prefix + metric.base : words[prefix] };
}

function niceStep(span, count) {
  const raw = span / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((lead) => lead * power).find((step) => step >= raw * 0.999);
}

function linearTicks(low, high, count) {
  const step = niceStep(high - low, count);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12) + step * 1e-9; k += 1) {
    ticks.push({ value: k * step, label: (k * step).toFixed(Math.min(digits, 12)) });
  }
  return ticks;
}

function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const leads = decades > 3 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 3, 5, 7];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const lead of leads) {
      const value = lead * 10 ** power;
      if (value >= low * 0.9999 && value <= high * 1.0001) {
        ticks.push({ value, label: String(Number(value.toPrecision(3))) });
      }
    }
  }
  return ticks.length >= 3 ? ticks : linearTicks(low, high, 4);
}

// An axis over `values`, mapped to pixels from `start` to `end`, with a margin on both sides.
function makeAxis(metric, values, options) {
  const { start, end, log, count } = options;
  const low = Math.min(...minmax(values)), high = Math.max(...minmax(values));
  const { factor, unit } = unitOf(metric, Math.max(Math.abs(low), Math.abs(high)));
  const bend = log ? Math.log10 : (value) => value;
  const bentLow = bend(low / factor), bentHigh = bend(high / factor);
  const margin = (bentHigh - bentLow) * 0.06 || Math.abs(bentHigh) * 0.05 || 0.5;
  const from = bentLow - margin, to = bentHigh + margin;
  const scale = (shown) => start + ((bend(shown) - from) / (to - from)) * (end - start);
  const unbend = log ? (value) => 10 ** value : (value) => value;
  const ticks = log ? logTicks(unbend(from), unbend(to)) : linearTicks(from, to, count);
  return {
    at: (value) => scale(value / factor),
    ticks: ticks.map((tick) => ({ at: scale(tick.value), label: tick.label })),
    title: unit ? `${metric.title} (${unit})` : metric.title,
  };
}

function minmax(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
