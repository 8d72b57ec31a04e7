// Trainings: the list, one live with its losses, and the form for a new one.

import { follow, get, post, trainingPath } from "./client.js";
import { count, digest, duration, field, fill, h, labelsOf, refill, say, state, table, told, when } from "./elements.js";
import { ENDED, actions, figure, logView, recordView, tell } from "./work.js";

const LOOK_MILLISECONDS = 700;
const LIST_MILLISECONDS = 4000;
const SVG = "http://www.w3.org/2000/svg";

const loss = (value) => (typeof value === "number" ? value.toFixed(4) : "");

export async function showTrainings(main, signal) {
  document.title = "Trainings · Curator";
  const place = h("div", { class: "live" }, h("p", { class: "muted" }, "Loading …"));
  const more = h("button", { type: "button", hidden: true, onclick: () => { pages += 1; show(); } }, "Older trainings");
  let pages = 1;
  fill(main, h("h1", {}, "Trainings"), h("p", {}, h("a", { href: "#/train" }, "Train a model"), " on the shards of a run that has succeeded."), place, h("p", {}, more));

  async function show() {
    const found = [];
    let cursor = null;
    for (let page = 0; page < pages; page++) {
      const query = new URLSearchParams({ limit: "50" });
      if (cursor) query.set("cursor", cursor);
      const answer = await get(`/v1/trainings?${query}`, signal);
      found.push(...answer.trainings);
      cursor = answer.next;
      if (!cursor) break;
    }
    more.hidden = !cursor;
    fill(place, found.length ? trainingTable(found) : h("p", { class: "muted" }, "No training yet."));
  }

  await show();
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, LIST_MILLISECONDS));
    if (!signal.aborted && !document.hidden) await show();
  }
}

function trainingTable(trainings) {
  return table(null, [
    ["training", "id", (one) => h("a", { href: `#/trainings/${one.id}` }, one.id)],
    ["state", "", (one) => state(one.state)],
    ["step", "n wide", (one) => (one.progress.steps ? `${count(one.progress.step)} of ${count(one.progress.steps)}` : "")],
    ["loss", "n wide", (one) => loss(one.progress.loss)],
    ["validation", "n wide", (one) => loss(one.progress.validation_loss)],
    ["submitted", "wide", (one) => when(one.created)],
    ["by", "owner wide", (one) => one.owner],
    ["model", "", (one) => one.output.split("/").pop()],
  ], trainings, { class: "cards" });
}

export async function showTraining(main, signal, id) {
  document.title = `Training ${id} · Curator`;
  const head = h("div", { class: "live" }), progress = h("div"), curve = h("div"), record = h("div");
  const logs = logView(() => get(trainingPath(id, "logs"), signal));
  fill(main, head, progress, curve, logs.element, record);
  let training = await get(trainingPath(id), signal);
  const wrong = tell(signal);
  let pending = null;
  await refresh();
  listen();

  function render() {
    const { state: now, attempt, error, message, runs, progress: { shape } } = training;
    refill(head, [now, attempt, error, message, shape], () => [
      h("h1", {}, "Training ", h("span", { class: "muted small" }, training.id)), h("p", {}, state(now),
        attempt > 1 ? h("span", { class: "muted" }, ` attempt ${attempt}`) : null), actions(now, act),
      message && ENDED.includes(now) ? h("div", { class: "warnings" }, h("p", {}, `${error || ""}: ${message}`)) : null,
      h("p", { class: "muted small" }, "on ", runs.map((run, place) => [place ? ", " : "", h("a", { href: `#/runs/${run}` }, run)]),
        shape ? ` · ${shape}` : "")]);
    fill(progress, figures());
    refill(record, training.version, () => recordView(training));
  }

  async function act(what) {
    try {
      await post(trainingPath(id, what));
      await refresh();
      if (what === "resume") listen();
    } catch (error) {
      say(told(error), true);
    }
  }

  function figures() {
    const { progress: at } = training;
    if (!at.steps) return null;
    const last = training.attempts[training.attempts.length - 1];
    const until = last.ended || Date.now() / 1000;
    const works = !ENDED.includes(training.state);
    const left = at.tokens_per_second ? ((at.steps - at.step) * at.tokens_per_step) / at.tokens_per_second : NaN;
    return [h("progress", { max: at.steps, value: at.step, "aria-label": "Steps done" }),
      h("dl", { class: "figures" },
        figure("step", `${count(at.step)} of ${count(at.steps)}`), figure("loss", loss(at.loss) || "none yet"),
        figure("validation loss", loss(at.validation_loss) || "none yet"), figure("at best", loss(at.best_loss) || "none yet"),
        figure("epoch", count(at.epoch)), works && at.tokens_per_second ? figure("rate", `${count(Math.round(at.tokens_per_second))} tokens/s`) : null,
        works && left > 0 ? figure("left", duration(left)) : null, figure("time", duration(until - (last.started || until))))];
  }

  async function refresh() {
    training = await get(trainingPath(id), signal);
    render();
    if (training.progress.steps) fill(curve, curveView(await get(trainingPath(id, "curve"), signal)));
    await logs.refresh();
  }

  function listen() {
    if (ENDED.includes(training.state)) return;
    // Many events come at once; what they change is asked for once in a while.
    const soon = () => {
      pending ??= setTimeout(() => { pending = null; if (!signal.aborted) refresh().catch(wrong); }, LOOK_MILLISECONDS);
    };
    follow(trainingPath(id, "events"), soon, soon, signal).catch(wrong);
  }
}

const WIDTH = 640, HEIGHT = 240, LEFT = 48, BOTTOM = 26, TOP = 8;

// Losses over steps. The numbers stand in a table too, for those who do not see the lines.
function curveView({ points, validations }) {
  if (!points.length) return null;
  const losses = [...points, ...validations].map((point) => point.loss);
  const low = Math.min(...losses), high = Math.max(...losses), last = Math.max(...[...points, ...validations].map((point) => point.step));
  const first = Math.min(points[0].step, last);
  const x = (step) => LEFT + ((WIDTH - LEFT - 8) * (step - first)) / (last - first || 1);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low || 1));
  const line = (some) => some.map((point, place) => `${place ? "L" : "M"}${x(point.step).toFixed(1)} ${y(point.loss).toFixed(1)}`).join("");
  const marks = ticks(low, high).map((value) => [node("line", { x1: LEFT, x2: WIDTH - 8, y1: y(value), y2: y(value), class: "grid" }),
    label(LEFT - 6, y(value) + 4, value.toFixed(2), "end")]);
  const chart = node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img",
    "aria-label": `Loss from step ${first} to ${last}: from ${loss(points[0].loss)} to ${loss(points[points.length - 1].loss)}` },
    marks, label(LEFT, HEIGHT - 6, `step ${count(first)}`, "start"), label(WIDTH - 8, HEIGHT - 6, count(last), "end"),
    node("path", { d: line(points), class: "training-line" }), node("path", { d: line(validations), class: "validation-line" }),
    validations.map((point) => node("circle", { cx: x(point.step), cy: y(point.loss), r: 3, class: "validation-point" },
      node("title", {}, `validation after step ${count(point.step)}: ${loss(point.loss)}`))));
  const rows = validations.length ? validations : points.slice(-20);
  return [h("h2", {}, "Loss"), h("p", { class: "legend" }, h("span", { class: "of-training" }, "training"), h("span", { class: "of-validation" }, "validation")), chart,
    h("details", {}, h("summary", {}, validations.length ? "Validations" : "The last steps"),
      table(null, [["step", "n", (row) => count(row.step)], ["loss", "n", (row) => loss(row.loss)]], rows))];
}

function ticks(low, high) {
  const span = high - low || 1;
  return [0, 0.25, 0.5, 0.75, 1].map((part) => low + part * span);
}

function node(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.flat(Infinity));
  return element;
}

const label = (x, y, text, anchor) => node("text", { x, y, "text-anchor": anchor }, text);

export async function showTrain(main, signal, chosen) {
  document.title = "Train · Curator";
  const { runs } = await get("/v1/runs?state=succeeded&limit=200", signal);
  const key = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
  const on = h("select", { multiple: true, required: true, size: String(Math.min(8, Math.max(3, runs.length))) },
    runs.map((run) => h("option", { value: run.id, selected: run.id === chosen }, `${run.id} ${run.recipe} ${run.output.split("/").pop()}`)));
  const output = h("input", { required: true, spellcheck: "false", placeholder: "model-1" });
  const size = h("select", {}, ["tiny", "small", "base"].map((name) => h("option", { value: name }, name)));
  const steps = h("input", { type: "number", min: "1", value: "1000", required: true });
  const more = h("textarea", { spellcheck: "false", placeholder: '{"optimizer": {"learning_rate": 0.001}}' });
  const labels = h("input", { spellcheck: "false", placeholder: "team=web" });
  const send = h("button", { class: "main" }, "Train");
  fill(main, h("h1", {}, "Train a model"), runs.length ? null : h("p", { class: "muted" }, "No run has succeeded yet."),
    h("form", { onsubmit: submit }, field("Runs", on, "those whose shards it learns from"),
      field("Output", output, "a new directory, below the output root"), field("Size", size, "a depth of 4, 8 or 16"), field("Steps", steps),
      field("Labels", labels, "NAME=VALUE, with commas between"),
      field("More of the configuration", more, "JSON with the keys of a training's configuration; none if empty"),
      h("p", { class: "row" }, send)));

  async function submit(event) {
    event.preventDefault();
    send.disabled = true;
    try {
      const config = more.value.trim() ? JSON.parse(more.value) : {};
      config.steps = Number(steps.value);
      config.model = { size: size.value, ...config.model };
      const body = { runs: [...on.selectedOptions].map(({ value }) => value), output: output.value.trim(), config, labels: labelsOf(labels.value) };
      const made = await post("/v1/trainings", body, { "Idempotency-Key": `${key}-${await digest(JSON.stringify(body))}` });
      location.hash = `#/trainings/${made.id}`;
    } catch (error) {
      say(told(error), true);
    } finally {
      send.disabled = false;
    }
  }
}
