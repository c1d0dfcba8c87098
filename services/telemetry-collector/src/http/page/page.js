// The page: keeps what the collector has told last, and shows it. It sends nothing.

import { Line, around, fromZero } from "./page/chart.js";
import { GUESTS, STATES, Table, Tiles, fill } from "./page/cores.js";
import { element, set } from "./page/dom.js";
import * as format from "./page/format.js";
import { attention, levelOf } from "./page/notice.js";
import { follow } from "./page/stream.js";

const LEAST_SPAN_MS = 300_000; // what the lines show at least
const MOST_SPAN_MS = 3_600_000;
const POINTS = 60; // and as many intervals, when they are long
const RENDER_MS = 250;

const $ = (id) => document.getElementById(id);

const told = { message: undefined, status: undefined, missed: 0 };
const link = { state: "connecting", reason: "", since: Date.now() };
/** The collector's clock minus the browser's, in milliseconds. */
let ahead = 0;

const lines = {
  usage: new Line($("usage-line"), "Utilization", () => [0, 100], (value) => `${format.percent(value)} %`, (value) => `${value} %`),
  load: new Line($("load-line"), "Load of one minute", fromZero(1), format.decimals, format.short),
  temperature: new Line($("temperature-line"), "Temperature", around(10), (value) => `${format.degrees(value)} °C`, (value) => `${value.toFixed(0)} °C`),
  frequency: new Line($("frequency-line"), "Frequency", around(200), (value) => `${format.gigahertz(value)} GHz`, format.gigahertz),
  waiting: new Line($("waiting-line"), "Waiting messages", fromZero(10), format.count, format.short),
};
const tiles = new Tiles($("cores"));
const table = new Table($("columns"), $("rows"));
const shares = new Map();

const now = () => Date.now() + ahead;
const cpu = () => told.message?.data.cpu;
const interval = () => format.milliseconds(told.status?.interval.interval) ?? 1000;

follow("events", {
  event(name, content) {
    if (name === "message" && content.data?.cpu) sampled(content);
    if (name === "status") stated(content);
    if (name === "missed") told.missed += content.count;
    render();
  },
  link(state, reason = "") {
    if (link.state !== state) link.since = now();
    Object.assign(link, { state, reason });
    render();
  },
});
// Ages and lines move on while nothing arrives.
setInterval(render, 1000);
$("all").addEventListener("toggle", () => {
  sampleIsNew = true;
  render();
});

function sampled(message) {
  told.message = message;
  sampleIsNew = true;
  const { cpu, metadata } = message.data;
  const time = Date.parse(message.collected_at);
  const gap = 2.5 * format.milliseconds(metadata.interval) + 500;
  lines.usage.add(time, cpu.usage_percent, gap);
  lines.load.add(time, cpu.load_averages?.one, gap);
  lines.temperature.add(time, cpu.temperature_celsius, gap);
  lines.frequency.add(time, cpu.frequencies?.current_mhz, gap);
}

function stated(status) {
  told.status = status;
  const time = Date.parse(status.now);
  ahead = time - Date.now();
  lines.waiting.add(time, status.delivery.pending, 2.5 * interval() + 2000);
}

// Values change at most four times a second, so that they can be read, and not at all while the page is hidden.
let sampleIsNew = false;
let wanted = false;
let shown = 0;
function render() {
  if (wanted) return;
  wanted = true;
  setTimeout(() => requestAnimationFrame(show), Math.max(0, shown + RENDER_MS - performance.now()));
}

function show() {
  wanted = false;
  shown = performance.now();
  if (sampleIsNew) showSample();
  if (told.status) showStatus();
  sampleIsNew = false;
  showLink();
  drawLines();
}

function drawLines() {
  const span = Math.min(Math.max(LEAST_SPAN_MS, POINTS * interval()), MOST_SPAN_MS);
  const to = now();
  Object.values(lines).forEach((line) => line.draw(to - span, to));
  document.querySelectorAll(".from").forEach((node) => set(node, `${format.span(span)} ago`));
}

function showSample() {
  const { metadata, cpu } = told.message.data;
  const { load_averages: load, frequencies: mhz, unavailable: missing } = cpu;
  set($("host"), metadata.hostname);
  set($("about"), [metadata.os, `Linux ${metadata.kernel}`, metadata.arch, metadata.virtualization].filter(Boolean).join(" · "));
  showLabels(metadata.labels ?? {});
  set($("processor"), processor(cpu));
  set($("version"), `telemetry-collector ${metadata.collector_version}`);
  set($("instance"), `instance ${told.message.instance_id.slice(0, 8)}, schema ${told.message.schema_version}`);

  set($("usage"), format.percent(cpu.usage_percent));
  set($("usage-why"), cpu.usage_percent === undefined ? format.sentence(format.why(missing, "usage_percent")) : "");
  $("usage-why").hidden = cpu.usage_percent !== undefined;
  showStates(cpu.states);

  set($("load"), format.decimals(load?.one));
  set($("load-more"), load ? `5 min ${format.decimals(load.five)}, 15 min ${format.decimals(load.fifteen)}` : format.why(missing, "load_averages") ?? "");
  set($("temperature"), format.degrees(cpu.temperature_celsius));
  set($("temperature-more"), cpu.temperature_celsius === undefined ? format.why(missing, "temperature_celsius") ?? "" : "hottest package");
  set($("frequency"), format.gigahertz(mhz?.current_mhz));
  set($("frequency-more"), frequency(mhz, missing));
  for (const [id, value] of [["temperature", cpu.temperature_celsius], ["frequency", mhz?.current_mhz], ["load", load?.one]]) {
    $(`${id}-line`).closest("section").classList.toggle("absent", value === undefined);
  }

  tiles.show(cpu.cores);
  set($("busiest"), busiest(cpu.cores));
  if ($("all").open) table.show(cpu.cores);
}

function processor({ model, vendor, logical_count: threads, physical_count: cores }) {
  const counted = [format.plural(threads, "thread", "threads"), ...(cores ? [format.plural(cores, "core", "cores")] : [])];
  return [model || vendor, counted.join(" on ")].filter(Boolean).join(" · ");
}

function frequency(mhz, missing) {
  if (mhz?.current_mhz === undefined) return format.why(missing, "frequencies", "frequencies.current_mhz") ?? "";
  if (mhz.min_mhz === undefined || mhz.max_mhz === undefined) return "mean of all cores";
  return `mean, of ${format.gigahertz(mhz.min_mhz)} to ${format.gigahertz(mhz.max_mhz)}`;
}

function busiest(cores) {
  const known = cores.filter((core) => core.usage_percent !== undefined);
  if (known.length < 2) return "";
  const most = known.reduce((most, core) => (core.usage_percent > most.usage_percent ? core : most));
  return `${cores.length} in all, busiest: ${most.core_id} with ${format.percent(most.usage_percent)} %`;
}

function showLabels(labels) {
  const names = Object.entries(labels).map(([name, value]) => `${name} ${value}`);
  const list = $("labels");
  if (list.dataset.shown === names.join()) return;
  list.dataset.shown = names.join();
  list.hidden = names.length === 0;
  list.replaceChildren(...names.map((name) => element("li", "", name)));
}

function showStates(states) {
  fill($("states-bar"), states);
  for (const [name, label] of [...STATES, ...GUESTS]) {
    const value = states?.[`${name}_percent`];
    const isPart = GUESTS.some(([guest]) => guest === name);
    if (isPart && !value && !shares.has(name)) continue;
    if (!shares.has(name)) {
      const row = element("div", name);
      const share = element("dd");
      row.append(element("dt", "", label), share);
      $("states").append(row);
      shares.set(name, share);
    }
    set(shares.get(name), value === undefined ? format.NONE : `${format.percent(value)} %`);
  }
}

function showStatus() {
  const { health, delivery, interval } = told.status;
  set($("pending"), format.count(delivery.pending));
  set($("acknowledged"), format.count(delivery.acknowledged));
  set($("lost"), format.count(delivery.lost));
  const sink = health.components.find(({ name }) => name === "sink");
  $("pending").dataset.level = levelOf(sink?.status) === "good" ? "" : "warn";
  $("lost").dataset.level = delivery.lost > 0 ? "bad" : "";

  set($("interval"), format.span(format.milliseconds(interval.interval)));
  set($("interval-why"), intervalWhy(interval));
  showHealth(health.components);
  set($("missed"), told.missed > 0 ? `${format.plural(told.missed, "update", "updates")} skipped: this browser was too slow` : "");
}

function intervalWhy({ changed, effective_since, reverts_at, default_interval }) {
  const settings = format.span(format.milliseconds(default_interval));
  if (!changed) return "from the settings";
  if (!reverts_at) return `set at ${format.moment(Date.parse(effective_since), now())}; the settings say ${settings}`;
  const at = Date.parse(reverts_at);
  const left = at > now() ? ` (${format.span(at - now())})` : "";
  return `until ${format.moment(at, now())}${left}, then ${settings} again`;
}

function showHealth(components) {
  const list = $("health");
  while (list.children.length > components.length) list.lastChild.remove();
  while (list.children.length < components.length) {
    const item = element("li");
    const mark = element("span", "mark");
    mark.ariaHidden = "true";
    item.append(mark, element("span", "name"), element("span", "state"), element("span", "since muted"), element("span", "reason"));
    list.append(item);
  }
  components.forEach(({ name, status, since, last_error: error }, index) => {
    const item = list.children[index];
    const serves = status === "HEALTH_STATUS_SERVING";
    item.dataset.level = levelOf(status);
    const [, named, state, from, reason] = item.children;
    set(named, name.replace("_", " "));
    set(state, format.status(status));
    set(from, `since ${format.moment(Date.parse(since), now())}`);
    set(reason, error ? (serves ? `last error: ${error}` : error) : "");
    reason.classList.toggle("muted", serves);
  });
}

function showLink() {
  const { state } = link;
  document.body.dataset.link = state;
  document.body.classList.toggle("empty", !told.message);
  set($("link"), { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting" }[state]);
  const taken = told.message && Date.parse(told.message.collected_at);
  set($("taken"), taken ? `sample at ${format.clock(taken)}` : "");
  const { level, text, more } = attention({ link, ...told, now: now() });
  const notice = $("notice");
  notice.hidden = text === "";
  notice.dataset.level = level;
  set(notice, [text, more].filter(Boolean).join(" "));
  // Without what changes all the time: a screen reader reads it out.
  set($("spoken"), text || "Live");
  const title = [told.message?.data.metadata.hostname, text && (state === "live" ? "attention" : state)];
  document.title = title.filter(Boolean).join(" – ") || "telemetry";
}
