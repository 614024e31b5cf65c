// What does the page know, and what dominates what?
const DATA = JSON.parse(byId("run-data").textContent);
const TRIALS = DATA.trials;
const METRICS = new Map(DATA.metrics.map((metric) => [metric.name, metric]));
const PLACE = new Map(TRIALS.id.map((id, index) => [id, index]));
const KINDS = [...new Set(TRIALS.kind)];
// Shape and colour say the same thing, so that neither is needed alone.
const LOOKS = {
  growth: { shape: "circle", colour: "--growth", title: "grown" },
  sparse: { shape: "triangle", colour: "--sparse", title: "sparse" },
  baseline: { shape: "star", colour: "--baseline", title: "baseline" },
};
const SPARE_LOOKS = [
  { shape: "square", colour: "--other" },
  { shape: "diamond", colour: "--fourth" },
];

const SPARE_TITLES = new Map([["prune", "pruned"], ["tickets", "from tickets"]]);

function lookOf(kind) {
  if (Object.hasOwn(LOOKS, kind)) return LOOKS[kind];
  const others = KINDS.filter((name) => !Object.hasOwn(LOOKS, name));
  return { title: SPARE_TITLES.get(kind) ?? kind, ...SPARE_LOOKS[others.indexOf(kind) % SPARE_LOOKS.length] };
}

function valueOf(index, name) {
  return TRIALS.values[name][index];
}

function deviceOf(name) {
  const match = /^latency\[(.*)\]$/.exec(name);
  return match ? match[1] : null;
}

function signOf(name) {
  return METRICS.get(name).direction === "maximize" ? -1 : 1;
}

// How sure is a value? As growsearch.pareto.uncertainty, of the run's validation examples.
const Z95 = 1.959963984540054;

function oneError(accuracy) {
  return Math.max(Math.sqrt(accuracy * (1 - accuracy) / DATA.examples), 1 / DATA.examples);
}

// Wilson's 95 % interval.
function accuracyInterval(accuracy) {
  const count = DATA.examples, scale = 1 + Z95 * Z95 / count;
  const centre = accuracy + Z95 * Z95 / (2 * count);
  const half = Z95 * Math.sqrt(accuracy * (1 - accuracy) / count + (Z95 / (2 * count)) ** 2);
  return [Math.max(0, (centre - half) / scale), Math.min(1, (centre + half) / scale)];
}

function fewExamples(accuracy) {
  const [low, high] = accuracyInterval(accuracy);
  return high - low > 0.01;
}

function noiseOf(index, name) {
  const columns = TRIALS.latency[deviceOf(name)];
  return columns && columns.method[index] === "measured" && columns.noise[index] !== null
    ? columns.noise[index] * valueOf(index, name) : 0;
}

// What was not measured has no noise, and differs if it is different.
function toldApart(one, other, name) {
  const noise = Math.hypot(noiseOf(one, name), noiseOf(other, name));
  return Math.abs(valueOf(one, name) - valueOf(other, name)) > Z95 * noise;
}

// The front of two metrics, from the best x to the worst; equal points stay together.
function frontOf(xName, yName, allowed) {
  const signX = signOf(xName), signY = signOf(yName);
  const points = [];
  for (let index = 0; index < TRIALS.id.length; index += 1) {
    const x = valueOf(index, xName), y = valueOf(index, yName);
    if (x === null || y === null || !TRIALS.feasible[index]) continue;
    if (allowed && !allowed(index)) continue;
    points.push({ index, x: signX * x, y: signY * y });
  }
  points.sort((a, b) => a.x - b.x || a.y - b.y || a.index - b.index);
  const front = [];
  for (const point of points) {
    const last = front[front.length - 1];
    const equal = last && last.x === point.x && last.y === point.y;
    if (!last || point.y < last.y || equal) front.push(point);
  }
  return front.map((point) => point.index);
}

// The front of three metrics, in order of x. A later point of the sorted order never dominates an
// earlier one, so each is held against the front so far alone.
function frontOfThree(names) {
  const signs = names.map(signOf);
  const points = [];
  for (let index = 0; index < TRIALS.id.length; index += 1) {
    const values = names.map((name) => valueOf(index, name));
    if (values.includes(null) || !TRIALS.feasible[index]) continue;
    points.push({ index, values: values.map((value, place) => signs[place] * value) });
  }
  points.sort((a, b) => a.values[0] - b.values[0] || a.values[1] - b.values[1]
    || a.values[2] - b.values[2] || a.index - b.index);
  const front = [];
  for (const point of points) {
    const [x, y, z] = point.values;
    const beaten = front.some(({ values: [fx, fy, fz] }) =>
      fy <= y && fz <= z && (fx < x || fy < y || fz < z));
    if (!beaten) front.push(point);
  }
  return front.map((point) => point.index);
}
