// The processors: a bar for each core, and a table of all their values.

import { element, set } from "./dom.js";
import { NONE, decimals, degrees, gigahertz, percent } from "./format.js";

/** The states of /proc/stat that do not overlap: name in the schema, name for people. */
export const STATES = [
  ["user", "user"],
  ["nice", "nice"],
  ["system", "system"],
  ["irq", "hard IRQ"],
  ["softirq", "soft IRQ"],
  ["steal", "steal"],
  ["iowait", "I/O wait"],
  ["idle", "idle"],
];
/** States that are parts of user and nice. */
export const GUESTS = [["guest", "guest"], ["guest_nice", "guest nice"]];

const COLUMNS = [
  ["Core", (core) => String(core.core_id)],
  ["used %", (core) => share(core.usage_percent)],
  ...[...STATES, ...GUESTS].map(([name, label]) => [`${label} %`, (core) => share(core.states?.[`${name}_percent`])]),
  ["GHz", (core) => gigahertz(core.frequency_mhz)],
  ["°C", (core) => degrees(core.temperature_celsius)],
];
const share = (value) => (value === undefined ? NONE : decimals(value));

/** Sets the widths of a bar's segments. */
export function fill(bar, states) {
  let end = 0;
  for (const [name] of STATES) {
    end += name === "idle" ? 0 : (states?.[`${name}_percent`] ?? 0);
    bar.style.setProperty(`--${name}-end`, `${end.toFixed(2)}%`);
  }
}

/** A bar for each core. */
export class Tiles {
  constructor(list) {
    this.list = list;
    this.tiles = new Map();
  }

  show(cores) {
    const ids = cores.map((core) => core.core_id);
    if (ids.length !== this.tiles.size || ids.some((id) => !this.tiles.has(id))) this.lay(cores);
    for (const core of cores) {
      const { used, more, bar } = this.tiles.get(core.core_id);
      set(used, percent(core.usage_percent));
      set(more, more && detail(core));
      fill(bar, core.states);
    }
  }

  /** As many cores, as much room for each. */
  lay(cores) {
    const density = cores.length <= 16 ? "rows" : cores.length <= 64 ? "tiles" : "cells";
    this.list.dataset.density = density;
    this.tiles = new Map(cores.map(({ core_id }) => [core_id, tile(core_id, density)]));
    this.list.replaceChildren(...[...this.tiles.values()].map(({ item }) => item));
  }
}

function tile(id, density) {
  const item = element("li");
  const number = element("span", "id");
  number.append(element("span", "hidden", "Core "), String(id));
  const used = element("span", "used");
  const value = element("span", "percent");
  value.append(used, element("span", "unit", "%"));
  const bar = element("span", "bar");
  bar.ariaHidden = "true";
  const more = density === "rows" ? element("span", "more muted") : undefined;
  item.append(number, value, bar, ...(more ? [more] : []));
  return { item, used, more, bar };
}

function detail(core) {
  const frequency = core.frequency_mhz === undefined ? [] : [`${gigahertz(core.frequency_mhz)} GHz`];
  const temperature = core.temperature_celsius === undefined ? [] : [`${degrees(core.temperature_celsius)} °C`];
  return [...frequency, ...temperature].join(", ");
}

/** Every value of each core. */
export class Table {
  constructor(columns, rows) {
    this.rows = rows;
    columns.replaceChildren(...COLUMNS.map(([label]) => {
      const cell = element("th", "", label);
      cell.scope = "col";
      return cell;
    }));
  }

  show(cores) {
    while (this.rows.rows.length > cores.length) this.rows.deleteRow(-1);
    while (this.rows.rows.length < cores.length) {
      const row = this.rows.insertRow();
      COLUMNS.forEach((_, index) => row.append(element(index === 0 ? "th" : "td")));
      row.cells[0].scope = "row";
    }
    cores.forEach((core, index) => {
      COLUMNS.forEach(([, text], column) => set(this.rows.rows[index].cells[column], text(core)));
    });
  }
}
