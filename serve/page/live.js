// One run: live while it works, with its results when it has succeeded.

import { follow, get, post, runPath } from "./client.js";
import { bytes, count, duration, field, fill, h, refill, say, state, told } from "./elements.js";
import { failuresView, funnelView, resultsView } from "./results.js";
import { ENDED, actions, figure, logView, recordView, tell } from "./work.js";

const LOOK_MILLISECONDS = 700;
const BROKEN_INPUT = 3; // the exit code of a run in which too many records could not be read

export async function showRun(main, signal, id) {
  document.title = `Run ${id} · Curator`;
  const head = h("div", { class: "live" }), progress = h("div"), funnel = h("div"), results = h("div"), record = h("div");
  const failures = h("div"), logs = logView(() => get(runPath(id, "logs"), signal));
  fill(main, head, progress, funnel, failures, results, logs.element, record);
  let run = await get(runPath(id), signal);
  const wrong = tell(signal);
  let pending = null;
  const rate = h("input", { type: "number", min: "0", max: "1", step: "any" });
  const rateField = field("Share of records that may fail", rate, "max_error_rate; as before where this is empty");
  render();
  await refresh();
  listen();

  function render() {
    refill(head, [run.state, run.attempt, run.error, run.message, run.exit_code], () => [
      h("h1", {}, `${run.recipe} `, h("span", { class: "muted small" }, run.id)), h("p", {}, state(run.state),
        run.attempt > 1 ? h("span", { class: "muted" }, ` attempt ${run.attempt}`) : null), actions(run.state, act),
      run.message && ENDED.includes(run.state) ? h("div", { class: "warnings" }, h("p", {}, `${run.error || ""}: ${run.message}`)) : null,
      run.state === "failed" && run.exit_code === BROKEN_INPUT ? rateField : null]);
    fill(progress, figures());
    refill(record, run.version, () => recordView(run));
  }

  async function act(what) {
    try {
      await post(runPath(id, what), what === "resume" && rate.value ? { max_error_rate: Number(rate.value) } : undefined);
      rate.value = "";
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
    if (run.progress.phase || run.state === "succeeded") {
      const found = await get(runPath(id, "funnel"), signal);
      fill(funnel, funnelView(found));
      if (run.state === "succeeded" && found.all.failed && !failures.hasChildNodes()) fill(failures, await failuresView(id, signal));
    }
    if (run.state === "succeeded" && !results.hasChildNodes()) fill(results, await resultsView(run, signal));
    await logs.refresh();
  }

  function listen() {
    if (ENDED.includes(run.state)) return;
    // Many events come at once; what they change is asked for once in a while.
    const soon = () => {
      pending ??= setTimeout(() => { pending = null; if (!signal.aborted) refresh().catch(wrong); }, LOOK_MILLISECONDS);
    };
    follow(runPath(id, "events"), soon, soon, signal).catch(wrong);
  }
}
