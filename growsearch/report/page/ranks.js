// Are the fast networks of one device the fast ones of another? Ranks of the front, device by device.
const RANKS = { row: 15, top: 30, bottom: 8, side: 96, most: 30 };

class Ranks {
  constructor(host, onSelect) {
    this.host = host;
    this.onSelect = onSelect;
    this.devices = DATA.choices.map((choice) => choice.device);
    const has = (index) => this.devices.every((device) => valueOf(index, `latency[${device}]`) !== null);
    this.members = DATA.front.filter(has).slice(0, RANKS.most);
    byId("ranks").hidden = this.devices.length < 2 || this.members.length < 2;
    if (byId("ranks").hidden) return;
    this.ranks = this.devices.map((device) => this.ranked(device));
    byId("ranks-note").textContent = this.note();
    new ResizeObserver(() => this.draw()).observe(host);
  }

  // The place of every member on one device, the fastest first.
  ranked(device) {
    const order = [...this.members].sort((a, b) =>
      valueOf(a, `latency[${device}]`) - valueOf(b, `latency[${device}]`) || a - b);
    return new Map(order.map((index, place) => [index, place]));
  }

  note() {
    const [first, last] = [this.ranks[0], this.ranks[this.ranks.length - 1]];
    const n = this.members.length;
    let agree = 0;
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < i; j += 1) {
        const [a, b] = [this.members[i], this.members[j]];
        agree += Math.sign((first.get(a) - first.get(b)) * (last.get(a) - last.get(b)));
      }
    }
    const tau = agree / (n * (n - 1) / 2);
    return `The fastest is on top. Crossing lines are networks that change places: Kendall's tau between `
      + `${this.devices[0]} and ${this.devices[this.devices.length - 1]} is ${tau.toFixed(2)} `
      + `(1: the same order, −1: the reverse) over ${n} networks of the front.`;
  }

  show(selected) {
    this.selected = selected;
    if (!byId("ranks").hidden) this.draw();
  }

  draw() {
    const width = this.host.clientWidth;
    if (width < 50) return;
    const height = RANKS.top + RANKS.bottom + RANKS.row * this.members.length;
    const step = (width - 2 * RANKS.side) / (this.devices.length - 1);
    const x = (lane) => RANKS.side + lane * step;
    const y = (place) => RANKS.top + RANKS.row * (place + 0.5);
    const frame = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img",
      "aria-label": "Places of the front's networks by latency on each device" });
    this.devices.forEach((device, lane) => {
      const anchor = lane === 0 ? "start" : lane === this.devices.length - 1 ? "end" : "middle";
      const edge = lane === 0 ? 0 : lane === this.devices.length - 1 ? width : x(lane);
      frame.append(svg("text", { class: "title", x: edge, y: 14, "text-anchor": anchor }, device));
    });
    for (const index of this.members) {
      const points = this.ranks.map((rank, lane) => [x(lane), y(rank.get(index))]);
      const line = svg("g", { class: index === this.selected ? "rank chosen" : "rank",
        onclick: () => this.onSelect(index) },
      svg("title", {}, `${TRIALS.id[index]}: ${TRIALS.text[index]}`),
      svg("path", { d: pathOf(points), stroke: `var(${lookOf(TRIALS.kind[index]).colour})` }));
      for (const [lane, [px, py]] of points.entries()) {
        line.append(svg("circle", { cx: px, cy: py, r: 3, fill: `var(${lookOf(TRIALS.kind[index]).colour})` }));
        const value = formatValue(valueOf(index, `latency[${this.devices[lane]}]`), SECONDS);
        if (lane === 0) line.append(svg("text", { x: px - 8, y: py + 4, "text-anchor": "end" }, value));
        if (lane === points.length - 1) line.append(svg("text", { x: px + 8, y: py + 4 }, value));
      }
      frame.append(line);
    }
    this.host.replaceChildren(frame);
  }
}
