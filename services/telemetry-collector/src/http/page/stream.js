// Server-sent events by fetch(): unlike EventSource it tells why a connection is refused, and a silence is noticed.

const SILENCE_MS = 25_000; // the server says something every 10 s
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

/** Follows `path` for ever. `on.event(name, content)` gets each event, `on.link(state, reason)` the connection's state. */
export async function follow(path, on) {
  for (let attempt = 0; ; attempt++) {
    try {
      await read(path, on, () => { attempt = 0; });
      on.link("reconnecting", "The collector closed the connection");
    } catch (error) {
      const reason = error instanceof Refused ? error.message : "The collector does not answer";
      on.link("reconnecting", reason);
    }
    const wait = RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)];
    await new Promise((resume) => setTimeout(resume, wait * (0.75 + Math.random() / 2)));
  }
}

class Refused extends Error {}

async function read(path, on, opened) {
  // A login that was typed into the address is not allowed in that of fetch(); the browser sends it all the same.
  const url = new URL(path, document.baseURI);
  url.username = url.password = "";
  const abort = new AbortController();
  let silence = setTimeout(() => abort.abort(), SILENCE_MS);
  try {
    const response = await fetch(url, { signal: abort.signal, cache: "no-store", headers: { accept: "text/event-stream" } });
    if (!response.ok) throw new Refused(await refusal(response));
    opened();
    on.link("live");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE_MS);
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) deliver(block, on);
    }
  } finally {
    clearTimeout(silence);
    abort.abort();
  }
}

async function refusal(response) {
  if (response.status === 401 || response.status === 403) return "The collector asks for a login";
  const line = (await response.text()).trim();
  return line.length > 0 && line.length < 200 ? line : `The collector answers with status ${response.status}`;
}

function deliver(block, on) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (data.length > 0) on.event(name, JSON.parse(data.join("\n")));
}
