// The list of runs.

import { get } from "./client.js";
import { count, fill, h, share, state, table, when } from "./elements.js";

const STATES = ["queued", "starting", "running", "cancelling", "succeeded", "failed", "cancelled", "lost"];
const LOOK_MILLISECONDS = 4000;

export async function showList(main, signal) {
  document.title = "Runs · Curator";
  const chosen = h("select", { "aria-label": "State", onchange: () => load(true) }, h("option", { value: "" }, "every state"),
    STATES.map((name) => h("option", { value: name }, name)));
  const label = h("input", { "aria-label": "Label", placeholder: "label: NAME=VALUE", onchange: () => load(true) });
  const place = h("div", { class: "live" }, h("p", { class: "muted" }, "Loading …"));
  const more = h("button", { type: "button", hidden: true, onclick: () => load(false) }, "Older runs");
  let pages = 1;
  fill(main, h("h1", {}, "Runs"), h("div", { class: "row" }, h("label", {}, chosen), h("label", {}, label)), place, h("p", {}, more));

  async function load(first) {
    pages = first ? 1 : pages + 1;
    await show();
  }

  async function show() {
    const runs = [];
    let cursor = null;
    for (let page = 0; page < pages; page++) {
      const query = new URLSearchParams({ limit: "50" });
      if (chosen.value) query.set("state", chosen.value);
      if (label.value.includes("=")) query.set("label", label.value.trim());
      if (cursor) query.set("cursor", cursor);
      const found = await get(`/v1/runs?${query}`, signal);
      runs.push(...found.runs);
      cursor = found.next;
      if (!cursor) break;
    }
    more.hidden = !cursor;
    fill(place, runs.length ? runTable(runs) : h("p", { class: "muted" }, "No run here. ", h("a", { href: "#/submit" }, "Submit one"), "."));
  }

  await show();
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MILLISECONDS));
    if (!signal.aborted && !document.hidden) await show();
  }
}

function runTable(runs) {
  return table(null, [
    ["run", "id", (run) => h("a", { href: `#/runs/${run.id}` }, run.id)],
    ["state", "", (run) => state(run.state)],
    ["recipe", "wide", (run) => run.recipe],
    ["phase", "wide", (run) => phase(run)],
    ["documents read", "n wide", (run) => (run.progress.documents ? count(run.progress.documents) : "")],
    ["submitted", "wide", (run) => when(run.created)],
    ["by", "owner wide", (run) => run.owner],
    ["output", "place", (run) => run.output.split("/").pop()],
  ], runs, { class: "cards" });
}

function phase(run) {
  const { phase: name, number, phases, bytes_read: read, bytes_total: total } = run.progress;
  if (!name || !["running", "cancelling"].includes(run.state)) return run.message || "";
  return number === 1 ? `${name} ${share(read, total)}` : `${name} (${number} of ${phases})`;
}
