"use strict";
// Curves over epochs, drawn as SVG. A pointer or the arrow keys choose an epoch, whose values are shown.
const SVG = "http://www.w3.org/2000/svg";
const COLORS = 7;
const DASHES = [["none", "2 3", "10 3 2 3"], ["7 4", "4 2", "7 3 2 3 2 3"]];

function shape(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (parent) parent.append(node);
  return node;
}

function element(name, properties, parent) {
  const node = Object.assign(document.createElement(name), properties);
  if (parent) parent.append(node);
  return node;
}

function shortNumber(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e6 || size < 1e-4) return value.toExponential(3);
  return size < 0.1 ? String(Number(value.toPrecision(4))) : value.toFixed(4);
}

// The smallest of 1, 2, 5 times a power of ten that is at least `step`.
function niceStep(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * ([1, 2, 5].find(factor => factor * power >= step * (1 - 1e-9)) || 10);
}

// A scale from values to 0 to 1, with its ticks.
function scaleOf(min, max, isLogarithmic) {
  if (isLogarithmic) {
    const [low, high] = [Math.log10(min), Math.log10(max)];
    const room = 0.03 * (high - low) || 0.1, first = low - room, last = high + room, ticks = [];
    for (let power = Math.floor(first); power <= last; power++) {
      for (const factor of last - first > 2 ? [1] : [1, 2, 5]) {
        const tick = Number(`${factor}e${power}`), place = Math.log10(tick);
        if (place >= first && place <= last) ticks.push({ value: tick, label: String(tick) });
      }
    }
    return { place: value => (Math.log10(value) - first) / (last - first), ticks };
  }
  if (max - min <= Number.EPSILON * Math.abs(max)) {
    const room = Math.abs(max) * 0.1 || 0.5;
    min -= room;
    // A share stays one.
    max = max <= 1 && max + room > 1 ? 1 : max + room;
  }
  if (min >= 0 && min < 0.35 * max) min = 0;
  const step = niceStep((max - min) / 5);
  const [first, last] = [Math.floor(min / step + 1e-9), Math.ceil(max / step - 1e-9)];
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), ticks = [];
  for (let index = first; index <= last; index++) {
    ticks.push({ value: index * step, label: (index * step).toFixed(Math.min(decimals, 12)) });
  }
  return { place: value => (value / step - first) / (last - first), ticks };
}

// A chart of series {label, epochs, values, color, isValidation}; marks are {epoch, text}.
class Chart {
  constructor(parent, title) {
    this.title = title;
    this.figure = element("figure", { className: "chart" }, parent);
    const caption = element("figcaption", {}, this.figure);
    element("h3", { textContent: title }, caption);
    this.button = element("button", { type: "button", textContent: "logarithmic" }, caption);
    this.button.setAttribute("aria-pressed", "false");
    this.button.addEventListener("click", () => {
      this.isLogarithmic = !this.isLogarithmic;
      this.button.setAttribute("aria-pressed", String(this.isLogarithmic));
      this.draw();
    });
    this.isLogarithmic = false;
    this.legend = element("ul", { className: "legend" }, this.figure);
    this.plot = element("div", { className: "plot", tabIndex: 0 }, this.figure);
    this.plot.setAttribute("role", "slider");
    this.plot.setAttribute("aria-label", `${title} by epoch; arrow keys choose an epoch`);
    this.tip = element("div", { className: "tip", hidden: true }, this.figure);
    this.plot.addEventListener("pointermove", event => this.point(event));
    this.plot.addEventListener("pointerdown", event => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.choose(null));
    this.plot.addEventListener("blur", () => this.choose(null));
    this.plot.addEventListener("keydown", event => this.press(event));
    this.width = 0;
    new ResizeObserver(() => {
      const width = Math.round(this.plot.clientWidth);
      // Not at once: what an observer changes, it must not observe.
      if (width > 0 && width !== this.width && this.series) requestAnimationFrame(() => this.draw());
    }).observe(this.plot);
  }

  show(series, marks) {
    this.series = series;
    this.marks = marks || [];
    this.epochs = [...new Set(series.flatMap(one => one.epochs))].sort((one, other) => one - other);
    this.indices = series.map(one => new Map(one.epochs.map((epoch, index) => [epoch, index])));
    this.legend.replaceChildren();
    for (const one of series) {
      const entry = element("li", {}, this.legend);
      const sample = shape("svg", { viewBox: "0 0 32 10", "aria-hidden": "true" }, entry);
      shape("line", this.look(one, { x1: 0, x2: 32, y1: 5, y2: 5 }), sample);
      entry.append(one.label);
    }
    this.draw();
  }

  look(one, attributes) {
    const kind = one.isValidation ? "curve validation" : "curve";
    // Of lines whose colour others have already.
    const dash = DASHES[one.isValidation ? 1 : 0][Math.floor(one.color / COLORS) % 3];
    return { ...attributes, class: kind, style: `stroke: var(--c${one.color % COLORS}); stroke-dasharray: ${dash}` };
  }

  draw() {
    const width = Math.max(280, Math.round(this.plot.clientWidth) || 600), height = 280;
    this.width = Math.round(this.plot.clientWidth);
    const values = this.series.flatMap(one => one.values).filter(value => value !== null);
    const positive = values.every(value => value > 0);
    this.button.disabled = !positive || !values.length;
    const isLogarithmic = this.isLogarithmic && !this.button.disabled;
    let [min, max] = [Infinity, -Infinity];
    for (const value of values) [min, max] = [Math.min(min, value), Math.max(max, value)];
    if (!values.length) [min, max] = [0, 1];
    const vertical = scaleOf(min, max, isLogarithmic);
    const longest = Math.max(...vertical.ticks.map(tick => tick.label.length), 1);
    const left = 14 + 7 * longest, right = width - 12, top = 22, bottom = height - 40;
    const [first, last] = [this.epochs[0] ?? 1, this.epochs[this.epochs.length - 1] ?? 1];
    this.x = epoch => (last === first ? (left + right) / 2 : left + (epoch - first) / (last - first) * (right - left));
    this.y = value => bottom - vertical.place(value) * (bottom - top);
    this.area = { left, right, top, bottom, width, height };

    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    for (const { value, label } of vertical.ticks) {
      const y = this.y(value);
      shape("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }, svg);
      shape("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, svg).textContent = label;
    }
    shape("path", { class: "axis", fill: "none", d: `M${left} ${top}V${bottom}H${right}` }, svg);
    const step = Math.max(1, niceStep((last - first) / Math.max(2, (right - left) / 70) || 1));
    for (let epoch = Math.ceil(first / step) * step; epoch <= last; epoch += step) {
      shape("line", { class: "axis", x1: this.x(epoch), x2: this.x(epoch), y1: bottom, y2: bottom + 4 }, svg);
      shape("text", { x: this.x(epoch), y: bottom + 17, "text-anchor": "middle" }, svg).textContent = epoch;
    }
    shape("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, svg).textContent = "epoch";
    for (const { epoch, text } of this.marks) {
      const x = this.x(epoch), anchor = x > (left + right) / 2 ? "end" : "start";
      shape("line", { class: "mark", x1: x, x2: x, y1: top, y2: bottom }, svg);
      shape("text", { x: x, y: top - 8, "text-anchor": anchor }, svg).textContent = text;
    }
    for (const one of this.series) this.drawCurve(one, svg);
    this.cursor = shape("g", { visibility: "hidden" }, svg);
    this.plot.replaceChildren(svg);
    this.plot.setAttribute("aria-valuemin", first);
    this.plot.setAttribute("aria-valuemax", last);
    this.plot.setAttribute("aria-valuenow", this.chosen ?? last);
    this.plot.setAttribute("aria-valuetext", this.words(this.chosen ?? last));
    if (this.chosen != null) this.choose(this.chosen);
  }

  // Broken where values are missing; a value between two gaps is a point.
  drawCurve(one, svg) {
    let path = "", before = null;
    one.values.forEach((value, index) => {
      if (value === null) { before = null; return; }
      const place = `${this.x(one.epochs[index]).toFixed(1)} ${this.y(value).toFixed(1)}`;
      const next = one.values[index + 1] ?? null;
      if (before === null && next === null) {
        const [cx, cy] = place.split(" ");
        shape("circle", { cx, cy, r: 3, style: `fill: var(--c${one.color % COLORS})` }, svg);
      } else path += (before === null ? "M" : "L") + place;
      before = value;
    });
    if (path) shape("path", this.look(one, { d: path }), svg);
  }

  point(event) {
    const box = this.plot.getBoundingClientRect();
    const x = (event.clientX - box.left) * this.area.width / box.width;
    let nearest = null;
    for (const epoch of this.epochs) {
      if (nearest === null || Math.abs(this.x(epoch) - x) < Math.abs(this.x(nearest) - x)) nearest = epoch;
    }
    this.choose(nearest);
  }

  press(event) {
    const last = this.epochs.length - 1;
    const now = this.chosen == null ? last : this.epochs.indexOf(this.chosen);
    const far = Math.max(1, Math.round(this.epochs.length / 10));
    const next = {
      ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1,
      PageDown: now - far, PageUp: now + far, Home: 0, End: last,
    }[event.key];
    if (event.key === "Escape") this.choose(null);
    if (next === undefined) return;
    event.preventDefault();
    this.choose(this.epochs[Math.min(last, Math.max(0, next))]);
  }

  // The values of an epoch: {label, value, color}.
  at(epoch) {
    const found = this.series.map((one, index) => ({ ...one, value: one.values[this.indices[index].get(epoch)] ?? null }));
    return found.filter(one => one.value !== null);
  }

  words(epoch) {
    return `epoch ${epoch}: ` + this.at(epoch).map(one => `${one.label} ${shortNumber(one.value)}`).join(", ");
  }

  choose(epoch) {
    this.chosen = epoch;
    this.tip.hidden = epoch === null;
    this.cursor.setAttribute("visibility", epoch === null ? "hidden" : "visible");
    if (epoch === null) return;
    const { left, right, top, bottom, width } = this.area, x = this.x(epoch);
    this.cursor.replaceChildren();
    shape("line", { class: "cursor", x1: x, x2: x, y1: top, y2: bottom }, this.cursor);
    this.tip.replaceChildren(element("b", { textContent: `epoch ${epoch}` }));
    const values = this.at(epoch).sort((one, other) => other.value - one.value);
    for (const one of values) {
      shape("circle", { cx: x, cy: this.y(one.value), r: 4, style: `fill: var(--c${one.color % COLORS})` }, this.cursor);
    }
    for (const one of values.slice(0, 12)) {
      const line = element("div", {}, this.tip);
      const name = element("span", { textContent: one.label }, line);
      name.style.color = `var(--c${one.color % COLORS})`;
      element("span", { textContent: shortNumber(one.value) }, line);
    }
    if (values.length > 12) element("div", { textContent: `and ${values.length - 12} more` }, this.tip);
    const scale = this.plot.clientWidth / width, isRight = x > (left + right) / 2;
    const place = (isRight ? width - x : x) * scale + 12;
    this.tip.style.left = isRight ? "auto" : `${place}px`;
    this.tip.style.right = isRight ? `${place}px` : "auto";
    this.tip.style.top = `${this.plot.offsetTop + top * scale}px`;
    this.plot.setAttribute("aria-valuenow", epoch);
    this.plot.setAttribute("aria-valuetext", this.words(epoch));
  }
}

// The names of metrics without val_, loss and accuracy first.
function metricNames(runs) {
  const names = new Set();
  for (const run of runs) for (const name in run.metrics) {
    if (run.metrics[name].some(value => value !== null)) names.add(name.replace(/^val_/, ""));
  }
  const rank = name => (name === "loss" ? 0 : name === "accuracy" ? 1 : 2);
  return [...names].sort((one, other) => rank(one) - rank(other) || (one < other ? -1 : 1));
}

function titled(name) {
  return name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
}
