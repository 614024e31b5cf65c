// How are elements made? Text goes in as text nodes only, so no content can become markup.
const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== "") node.append(child);
  }
  return node;
}

function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG_NAMESPACE, tag), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

function methodChip(method) {
  return method ? el("span", { class: `chip ${method}` }, method) : null;
}

// The latency of one trial: value, interval, how it was found and how noisy it was.
function latencyParts(device, index) {
  const column = DATA.trials.latency[device];
  if (!column || !column.method[index]) return { method: null, extra: "" };
  const extra = [
    formatInterval(column.low[index], column.high[index]),
    formatNoise(column.noise[index]),
  ].filter(Boolean).join(", ");
  return { method: column.method[index], extra };
}
