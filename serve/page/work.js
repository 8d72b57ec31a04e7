// What runs and trainings show alike: their buttons, log and record.

import { h, say, state, table, told, when } from "./elements.js";

export const ENDED = ["succeeded", "failed", "cancelled", "lost"];

export const figure = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

export function actions(now, act) {
  const able = [];
  if (!ENDED.includes(now) && now !== "cancelling") able.push(h("button", { type: "button", onclick: () => act("cancel") }, "Cancel"));
  if (ENDED.includes(now) && now !== "succeeded") able.push(h("button", { type: "button", class: "main", onclick: () => act("resume") }, "Resume"));
  return able.length ? h("p", { class: "row" }, able) : null;
}

// What an attempt wrote, asked for while it is open.
export function logView(read) {
  const text = h("pre", { tabindex: "0" });
  const element = h("details", { ontoggle: () => refresh() }, h("summary", {}, "What it wrote"), text);
  async function refresh() {
    if (!element.open) return;
    try {
      text.textContent = (await read()).text || "nothing yet";
    } catch (error) {
      text.textContent = told(error);
    }
  }
  return { element, refresh };
}

// Tells what went wrong while a page looks on; a token that is not good any more is asked for again.
export const tell = (signal) => (error) => {
  if (error.status === 401) window.dispatchEvent(new HashChangeEvent("hashchange"));
  else if (!signal.aborted) say(told(error), true);
};

export function recordView(work) {
  return [h("h2", {}, "What happened"),
    table(null, [["time", "", (each) => when(each.time)], ["state", "", (each) => state(each.after)],
      ["attempt", "n wide", (each) => String(each.attempt)], ["why", "", (each) => each.why], ["by", "wide", (each) => each.actor]], work.history, { class: "cards" }),
    h("h2", {}, "What was asked"), h("pre", { tabindex: "0" }, JSON.stringify(work.request, null, 1)),
    h("p", { class: "muted small" }, "Output: ", h("code", {}, work.output))];
}
