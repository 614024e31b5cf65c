// How is a value said? The same rules as growsearch.pareto.quantities.format_quantity.
const SMALL = [[1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];
const LARGE = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];

function withCommas(value) {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

function threeDigits(value) {
  if (value === 0) return "0";
  return Math.abs(value) >= 1000 ? withCommas(value) : value.toPrecision(3);
}

function withPrefix(value, unit) {
  const prefixes = unit ? SMALL : LARGE;
  const fitting = prefixes.find(([factor]) => Math.abs(value) >= factor * 0.9995);
  const [factor, prefix] = fitting || (value === 0 ? [1, ""] : prefixes[prefixes.length - 1]);
  return `${threeDigits(value / factor)} ${prefix}${unit}`.trim();
}

function formatValue(value, metric) {
  if (value === null || value === undefined) return "–";
  if (metric.kind === "share") return `${(100 * value).toFixed(2)} %`;
  if (metric.kind === "time" || metric.kind === "energy") return withPrefix(value, metric.base);
  if (metric.kind === "count") {
    return Math.abs(value) >= 10000 ? withPrefix(value, "") : withCommas(value);
  }
  return String(Number(value.toPrecision(4)));
}

const SECONDS = { kind: "time", base: "s" };
const COUNT = { kind: "count", base: "" };

function formatInterval(low, high) {
  if (low === null || high === null || low === undefined || high === undefined) return "";
  return `${formatValue(low, SECONDS)} to ${formatValue(high, SECONDS)}`;
}

function formatNoise(noise) {
  return noise === null || noise === undefined ? "" : `noise ${(100 * noise).toFixed(1)} %`;
}

// Against another value: points for shares, a factor for everything else.
function formatChange(value, base, metric) {
  if (value === null || base === null || value === undefined || base === undefined) return "";
  if (metric.kind === "share") {
    const points = 100 * (value - base);
    if (Math.abs(points) < 0.005) return "the same";
    return `${points > 0 ? "+" : "−"}${Math.abs(points).toFixed(2)} points`;
  }
  if (base === 0 || value === 0) return "";
  const ratio = value / base;
  if (Math.abs(ratio - 1) < 0.005) return "the same";
  if (ratio.toPrecision(2) === "1.0") return "about the same";
  return `${ratio >= 10 ? ratio.toFixed(0) : ratio.toPrecision(2)}× as much`;
}
