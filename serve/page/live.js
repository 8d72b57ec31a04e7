// One run: live while it works, with its results when it has succeeded.

import { follow, get, post, runPath } from "./client.js";
import { bytes, count, duration, fill, h, say, state, table, told, when } from "./elements.js";
import { funnelView, resultsView } from "./results.js";

const ENDED = ["succeeded", "failed", "cancelled", "lost"];
const LOOK_MILLISECONDS = 700;

export async function showRun(main, signal, id) {
  document.title = `Run ${id} · Curator`;
  const head = h("div", { class: "live" }), progress = h("div"), funnel = h("div"), results = h("div"), record = h("div");
  const log = h("pre", { tabindex: "0" }), logs = h("details", { ontoggle: () => logs.open && showLog() },
    h("summary", {}, "What it wrote"), log);
  fill(main, head, progress, funnel, results, logs, record);
  let run = await get(runPath(id), signal);
  let pending = null;
  render();
  await refresh();
  listen();

  function render() {
    fill(head, h("h1", {}, `${run.recipe} `, h("span", { class: "muted small" }, run.id)), h("p", {}, state(run.state),
      run.attempt > 1 ? h("span", { class: "muted" }, ` attempt ${run.attempt}`) : null), buttons(),
      run.message && ENDED.includes(run.state) ? h("div", { class: "warnings" }, h("p", {}, `${run.error || ""}: ${run.message}`)) : null);
    fill(progress, figures());
    fill(record, recordView(run));
  }

  function buttons() {
    const able = [];
    if (!ENDED.includes(run.state) && run.state !== "cancelling") able.push(h("button", { type: "button", onclick: () => act("cancel") }, "Cancel"));
    if (ENDED.includes(run.state) && run.state !== "succeeded") able.push(h("button", { type: "button", class: "main", onclick: () => act("resume") }, "Resume"));
    return able.length ? h("p", { class: "row" }, able) : null;
  }

  async function act(what) {
    try {
      await post(runPath(id, what));
      await refresh();
      if (what === "resume") listen();
    } catch (error) {
      say(told(error), true);
    }
  }

  function figures() {
    const { progress: at } = run;
    if (!at.phase) return null;
    const last = run.attempts[run.attempts.length - 1];
    const until = last.ended || Date.now() / 1000;
    const inPhase = until - (at.phase_started || until);
    const reading = at.number === 1;
    const rate = reading && inPhase > 1 ? at.bytes_read / inPhase : 0;
    const left = rate ? (at.bytes_total - at.bytes_read) / rate : NaN;
    const works = !ENDED.includes(run.state);
    const done = works ? at.number - 1 + (reading && at.bytes_total ? at.bytes_read / at.bytes_total : 0) : at.phases;
    return [works ? h("progress", { max: at.phases || 1, value: done, "aria-label": "Phases done" }) : null,
      h("dl", { class: "figures" },
        figure("phase", `${at.phase} (${at.number} of ${at.phases})`), figure("tasks of it done", count(at.tasks)),
        figure("documents read", count(at.documents)), figure("read", `${bytes(at.bytes_read)} of ${bytes(at.bytes_total)}`),
        works && rate ? figure("rate", `${bytes(rate)}/s`) : null, works && left > 0 ? figure("left to read", duration(left)) : null,
        figure("time", duration(until - (last.started || until))))];
  }

  async function refresh() {
    run = await get(runPath(id), signal);
    render();
    if (run.progress.phase || run.state === "succeeded") fill(funnel, funnelView(await get(runPath(id, "funnel"), signal)));
    if (run.state === "succeeded" && !results.hasChildNodes()) fill(results, await resultsView(run, signal));
    if (logs.open) await showLog();
  }

  async function showLog() {
    try {
      const found = await get(runPath(id, "logs"), signal);
      log.textContent = found.text || "nothing yet";
    } catch (error) {
      log.textContent = told(error);
    }
  }

  function listen() {
    if (ENDED.includes(run.state)) return;
    // Many events come at once; what they change is asked for once in a while.
    const soon = () => {
      pending ??= setTimeout(() => { pending = null; if (!signal.aborted) refresh().catch((error) => say(told(error), true)); }, LOOK_MILLISECONDS);
    };
    follow(id, soon, soon, signal).catch((error) => say(told(error), true));
  }
}

const figure = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

function recordView(run) {
  return [h("h2", {}, "What happened"),
    table(null, [["time", "", (each) => when(each.time)], ["state", "", (each) => state(each.after)],
      ["attempt", "n wide", (each) => String(each.attempt)], ["why", "", (each) => each.why], ["by", "wide", (each) => each.actor]], run.history, { class: "cards" }),
    h("h2", {}, "What was asked"), h("pre", { tabindex: "0" }, JSON.stringify(run.request, null, 1)),
    h("p", { class: "muted small" }, "Output: ", h("code", {}, run.output))];
}
