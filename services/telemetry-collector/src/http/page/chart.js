// Lines over the last minutes, as paths of SVG.

import { set } from "./dom.js";

const POINTS_MAX = 20_000; // five minutes at the shortest interval are 3,000
const WIDTH = 600;
const HEIGHT = 100;

/** The history of one value, and its line. */
export class Line {
  /** `scale(low, high)` gives the ends of the axis, `tick(value)` their labels; `text(value)` is how a value of `name` reads. */
  constructor(svg, name, scale, text, tick = text) {
    [this.svg, this.name, this.scale, this.text, this.tick] = [svg, name, scale, text, tick];
    [this.area, this.stroke] = ["area", "stroke"].map((part) => svg.querySelector(`.${part}`));
    this.ticks = svg.nextElementSibling.children;
    this.points = [];
    this.width = 0;
    new ResizeObserver(([entry]) => { this.width = entry.contentRect.width; }).observe(svg);
  }

  /** Adds a value. One that comes more than `gap` after the last one is not connected with it. */
  add(time, value, gap) {
    const last = this.points.at(-1);
    if (last && time <= last.time) return;
    if (value === undefined || (last && time - last.time > gap)) this.points.push({ time, value: undefined });
    if (value !== undefined) this.points.push({ time, value });
    // While the page is hidden nothing is drawn, and so nothing is forgotten.
    if (this.points.length > POINTS_MAX) this.points.splice(0, POINTS_MAX / 2);
  }

  /** Draws the values from `from` to `to`, and forgets older ones but one, at which the line enters. */
  draw(from, to) {
    const first = this.points.findIndex((point) => point.time >= from);
    if (first > 1) this.points.splice(0, first - 1);
    const known = this.points.filter((point) => point.value !== undefined);
    if (known.length === 0) return this.show("", "", "no values yet", ["", ""]);
    const values = known.map((point) => point.value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const [bottom, top] = this.scale(low, high);
    const x = (time) => ((time - from) / (to - from)) * WIDTH;
    const y = (value) => HEIGHT - 1 - ((value - bottom) / (top - bottom || 1)) * (HEIGHT - 2);
    // A line that turns at every second pixel is legible.
    const columns = Math.max(this.width, 100) / 2;
    let [stroke, area] = ["", ""];
    for (const run of runs(this.points, x, columns)) {
      const path = run.map(({ x, value }) => `${x.toFixed(1)} ${y(value).toFixed(1)}`).join("L");
      // A single value is a short line, or it would not be seen.
      stroke += run.length === 1 ? `M${path}h1` : `M${path}`;
      area += `M${run[0].x.toFixed(1)} ${HEIGHT}L${path}L${run.at(-1).x.toFixed(1)} ${HEIGHT}Z`;
    }
    this.show(stroke, area, `from ${this.text(low)} to ${this.text(high)}, now ${this.text(values.at(-1))}`, [top, bottom]);
  }

  show(stroke, area, summary, [top, bottom]) {
    this.stroke.setAttribute("d", stroke);
    this.area.setAttribute("d", area);
    const [first, last] = [this.ticks[0], this.ticks[this.ticks.length - 1]];
    set(first, top === "" ? "" : this.tick(top));
    set(last, bottom === "" ? "" : this.tick(bottom));
    const label = `${this.name} over the last minutes: ${summary}`;
    if (this.svg.getAttribute("aria-label") !== label) this.svg.setAttribute("aria-label", label);
  }
}

/** The stretches of values without a gap; values that fall into the same column are their mean. */
function runs(points, x, columns) {
  const all = [];
  let run = [];
  for (const { time, value } of points) {
    if (value === undefined) {
      if (run.length > 0) all.push(run);
      run = [];
      continue;
    }
    const column = Math.floor((x(time) / WIDTH) * columns);
    const last = run.at(-1);
    if (last?.column === column) {
      last.value += (value - last.value) / ++last.count;
    } else {
      run.push({ x: x(time), value, column, count: 1 });
    }
  }
  if (run.length > 0) all.push(run);
  return all;
}

/** From 0 to a round number above the highest value, at least `least`. */
export const fromZero = (least) => (_, high) => {
  const wanted = Math.max(high * 1.05, least);
  const unit = 10 ** Math.floor(Math.log10(wanted));
  return [0, [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= wanted) * unit];
};

/** From a little below the lowest value to a little above the highest one, at least `least` apart. */
export const around = (least) => (low, high) => {
  const half = Math.max(least, (high - low) * 1.2) / 2;
  const middle = (low + high) / 2;
  return [Math.max(0, middle - half), middle + half];
};
