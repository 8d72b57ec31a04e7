// Talks to the service. The token stays in this tab (sessionStorage) and goes out in a header alone, never in a URL.

const TOKEN = "curator-token";

export class Refusal extends Error {
  constructor(problem, status) {
    super([problem.title, problem.detail].filter(Boolean).join(": ") || `The service answers ${status}`);
    this.code = problem.code || "";
    this.hint = problem.hint || "";
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  clear: () => sessionStorage.removeItem(TOKEN),
};

function headers(more) {
  return { Authorization: `Bearer ${token.get()}`, ...more };
}

async function check(response) {
  if (response.ok) return response;
  const text = await response.text();
  let problem = {};
  try { problem = JSON.parse(text); } catch { problem = { detail: text.slice(0, 200) }; }
  throw new Refusal(problem, response.status);
}

export async function get(path, signal) {
  const response = await fetch(path, { headers: headers(), signal, cache: "no-store" });
  return (await check(response)).json();
}

export async function getBlob(path) {
  return (await check(await fetch(path, { headers: headers(), cache: "no-store" }))).blob();
}

export async function post(path, body, more) {
  const options = { method: "POST", headers: headers(more) };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  return (await check(await fetch(path, options))).json();
}

export function runPath(run, rest) {
  const path = `/v1/runs/${encodeURIComponent(run)}`;
  return rest ? `${path}/${rest}` : path;
}

export function trainingPath(training, rest) {
  const path = `/v1/trainings/${encodeURIComponent(training)}`;
  return rest ? `${path}/${rest}` : path;
}

// Reads the events of a run or training until it has ended; goes on after the last event where the connection breaks.
export async function follow(path, onEvents, onEnd, signal) {
  let last = 0, wait = 500;
  while (!signal.aborted) {
    try {
      const response = await fetch(path, {
        headers: headers({ Accept: "text/event-stream", "Last-Event-ID": String(last) }), signal, cache: "no-store",
      });
      await check(response);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        wait = 500;
        text += value;
        const parts = text.split("\n\n");
        text = parts.pop();
        const events = [];
        for (const part of parts) {
          const found = parse(part);
          if (found.event === "end") {
            if (events.length) onEvents(events);
            onEnd(JSON.parse(found.data).state);
            return;
          }
          if (found.data) {
            last = Number(found.id);
            events.push(JSON.parse(found.data));
          }
        }
        if (events.length) onEvents(events);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal && error.status < 500 && error.status !== 429) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(2 * wait, 15000);
  }
}

function parse(part) {
  const found = {};
  for (const line of part.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) found[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return found;
}
