// Values of the schema as text for people.

const REASONS = {
  FIRST_SAMPLE: "known from the second sample on",
  NO_SENSOR: "no sensor",
  NO_PERMISSION: "no permission to read it",
  VIRTUAL_MACHINE: "not shown to this virtual machine",
  NOT_SUPPORTED: "not provided by this system",
  COUNTER_RESET: "a counter went backwards",
  NO_PROGRESS: "the interval is too short",
  PENDING: "first reading not finished",
  READ_FAILED: "cannot be read",
};
const STATUSES = { STARTING: "starting", SERVING: "serving", DEGRADED: "degraded", NOT_SERVING: "not serving" };

const counts = new Intl.NumberFormat("en");
const shorts = new Intl.NumberFormat("en", { notation: "compact" });
const clocks = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export const NONE = "–";
export const percent = (value) => (value === undefined ? NONE : value.toFixed(1));
export const decimals = (value) => (value === undefined ? NONE : value.toFixed(2));
export const degrees = (value) => (value === undefined ? NONE : value.toFixed(1));
export const gigahertz = (mhz) => (mhz === undefined ? NONE : (mhz / 1000).toFixed(2));
export const count = (value) => (value === undefined ? NONE : counts.format(value));
export const short = (value) => shorts.format(value);
export const clock = (time) => clocks.format(time);
export const moment = (time, now) => (Math.abs(now - time) < 43_200_000 ? clocks : days).format(time);
export const plural = (value, one, many) => `${count(value)} ${value === 1 ? one : many}`;

/** A ProtoJSON duration ("0.200s") in milliseconds. */
export const milliseconds = (duration) => (duration === undefined ? undefined : parseFloat(duration) * 1000);

/** A time span in words, with its two largest units. */
export function span(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000 && ms % 1000 !== 0) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  const units = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => s >= size);
  const [[size, unit], next] = [units[first], units[first + 1]];
  const rest = next ? Math.floor((s % size) / next[0]) : 0;
  return `${Math.floor(s / size)} ${unit}` + (rest ? ` ${rest} ${next[1]}` : "");
}

/** Why a value is absent, by the list of the message. */
export function why(unavailable, ...fields) {
  const found = (unavailable ?? []).find((entry) => fields.includes(entry.field));
  return found ? (REASONS[found.reason?.replace("UNAVAILABLE_REASON_", "")] ?? "not available") : undefined;
}

/** The status of a component as a word. */
export const status = (name) => STATUSES[name?.replace("HEALTH_STATUS_", "")] ?? "unknown";

/** A text as a sentence; nothing for none. */
export const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1).replace(/\.?$/, ".") : "");
