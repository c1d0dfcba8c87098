// What somebody should know first.

import * as format from "./format.js";

const GRACE_MS = 2000; // a sample may be late

const NONE = { level: "", text: "", more: "" };
const say = (level, text, more = "") => ({ level, text, more });

/** The one line that matters most: its weight, its text, and what of it changes all the time. */
export function attention({ link, message, status, now }) {
  const taken = message && Date.parse(message.collected_at);
  if (link.state === "connecting") return say("", "Connecting to the collector.");
  if (link.state === "reconnecting") {
    const last = taken ? " The values below are the last ones." : "";
    return say("bad", `${link.reason}. Trying again since ${format.clock(link.since)}.${last}`);
  }
  if (!status) return NONE;
  const { components } = status.health;
  const [sampler, sink] = ["sampler", "sink"].map((name) => components.find((component) => component.name === name));
  if (!taken) return say(ails(sampler) ? "bad" : "", join("No sample yet.", ails(sampler) && format.sentence(sampler.last_error)));
  const age = now - taken;
  if (age > longest(message, status)) {
    return say("bad", join("There are no new samples.", format.sentence(sampler?.last_error)), `The last one is ${format.span(age)} old.`);
  }
  if (ails(sink)) return sinkDown(sink, status.delivery, now);
  const ailing = components.find(ails);
  if (!ailing) return NONE;
  const name = ailing.name.replace("_", " ");
  return say(levelOf(ailing.status), join(format.sentence(`${name} ${format.status(ailing.status)}`), format.sentence(ailing.last_error)));
}

/** How much a status weighs. */
export function levelOf(status) {
  const levels = { HEALTH_STATUS_SERVING: "good", HEALTH_STATUS_STARTING: "", HEALTH_STATUS_DEGRADED: "warn" };
  return levels[status] ?? "bad";
}

const ails = (component) => component !== undefined && ["warn", "bad"].includes(levelOf(component.status));

/** The age from which a sample is too old. The interval may just have changed. */
function longest(message, status) {
  const intervals = [message.data.metadata.interval, status.interval.interval].map(format.milliseconds);
  return 3 * Math.max(...intervals) + GRACE_MS;
}

function sinkDown({ status, since, last_error: error }, { pending, lost }, now) {
  const from = format.moment(Date.parse(since), now);
  const waiting = format.plural(pending, "message waits", "messages wait");
  const losses = lost > 0 ? `${format.count(lost)} are lost` : "none is lost";
  return say(levelOf(status), join(`The sink has taken no messages since ${from}.`, format.sentence(error)), `${waiting}, ${losses}.`);
}

const join = (...texts) => texts.filter(Boolean).join(" ");
