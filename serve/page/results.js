// What a run says: its funnel and languages, documents explained, shards; two runs beside each other.

import { get, getBlob, runPath } from "./client.js";
import { bar, bytes, count, field, fill, h, say, share, table, told } from "./elements.js";

const LANGUAGES_SHOWN = 40;

const documents = (counts, event) => (counts[event] ? counts[event].documents : 0);
const entered = (counts) => documents(counts, "in") + documents(counts, "created");
const colour = (stages, stage) => (stages.includes(stage) ? `s${stages.indexOf(stage) % 8}` : "other");

function verdicts(counts) {
  return Object.entries(counts).filter(([event]) => event.split("/").length >= 3).map(([event, numbers]) => {
    const [stage, action, ...rule] = event.split("/");
    return { stage, action, rule: rule.join("/"), ...numbers };
  });
}

function dropped(counts) {
  const found = {};
  for (const { stage, action, documents: number } of verdicts(counts)) if (action === "drop") found[stage] = (found[stage] || 0) + number;
  return found;
}

export function funnelView(funnel) {
  const { all, stages } = funnel;
  const whole = entered(all);
  const order = (row) => stages.indexOf(row.stage);
  const rows = [{ name: "in", documents: documents(all, "in"), tokens: all.in ? all.in.tokens : 0, kind: "sum", colour: "kept" }];
  if (documents(all, "failed")) rows.push({ name: "could not be read", documents: documents(all, "failed"), tokens: 0, colour: "other" });
  if (documents(all, "created")) rows.push({ name: "created", ...all.created, colour: "kept" });
  for (const row of verdicts(all).sort((one, other) => order(one) - order(other) || one.rule.localeCompare(other.rule)))
    rows.push({ ...row, name: row.rule, note: row.action, colour: colour(stages, row.stage) });
  if (all.kept) rows.push({ name: "kept", ...all.kept, kind: "sum", colour: "kept" });
  if (all.copies) rows.push({ name: "and copies", ...all.copies, colour: "kept" });
  return [h("h2", {}, funnel.is_final ? "Funnel" : "Funnel, so far"),
    funnel.warnings.length ? h("div", { class: "warnings" }, funnel.warnings.map((text) => h("p", {}, text))) : null,
    table(null, [["rule", "", (row) => row.name], ["", "wide muted", (row) => row.note || ""],
      ["share of the documents", "bar wide", (row) => bar([[row.documents, row.colour, `${row.name}: ${count(row.documents)}`]], whole)],
      ["documents", "n", (row) => count(row.documents)], ["tokens", "n wide", (row) => count(row.tokens)]], rows, { class: "cards" }),
    languageView(funnel)];
}

function languageView({ languages, stages }) {
  const names = Object.keys(languages).sort((one, other) => entered(languages[other]) - entered(languages[one]) || one.localeCompare(other));
  if (!names.length) return null;
  const rows = names.map((name) => {
    const counts = languages[name], lost = dropped(counts), whole = entered(counts);
    const kept = counts.kept ? counts.kept.documents : whole - Object.values(lost).reduce((sum, number) => sum + number, 0);
    return { name, whole, kept, lost };
  });
  const view = (some) => table(null, [["language", "", (row) => h("bdi", {}, row.name)],
    ["kept and dropped", "bar", (row) => bar([[row.kept, "kept", `kept: ${count(row.kept)}`],
      ...Object.entries(row.lost).map(([stage, number]) => [number, colour(stages, stage), `${stage}: ${count(number)}`])], row.whole)],
    ["documents", "n wide", (row) => count(row.whole)], ["left", "n wide", (row) => count(row.kept)], ["share left", "n", (row) => share(row.kept, row.whole)]],
    some, { class: "cards" });
  return [h("h2", {}, "Languages"), view(rows.slice(0, LANGUAGES_SHOWN)),
    rows.length > LANGUAGES_SHOWN ? h("details", {}, h("summary", {}, `${rows.length - LANGUAGES_SHOWN} more`), view(rows.slice(LANGUAGES_SHOWN))) : null];
}

const FAILURES_SHOWN = 20;

// What could not be read: by reason and file, with what to do about it.
export async function failuresView(run, signal) {
  const { failures, records } = await get(runPath(run, "failures"), signal);
  if (!failures.length) return null;
  const view = (some) => table(null, [["file", "", (row) => row.file], ["records", "n", (row) => count(row.records)],
    ["what is wrong", "", (row) => [row.meaning, " ", h("code", { class: "muted" }, row.code)]], ["the first", "wide", (row) => (row.line === null ? `at byte ${count(row.position)}` : `in line ${count(row.line)}`)],
    ["what to do", "wide", (row) => row.advice]], some, { class: "cards" });
  return [h("h2", {}, "Could not be read"), h("p", { class: "muted" }, `${count(records)} ${records === 1 ? "record" : "records"}; the rest was processed.`), view(failures.slice(0, FAILURES_SHOWN)),
    failures.length > FAILURES_SHOWN ? h("details", {}, h("summary", {}, `${failures.length - FAILURES_SHOWN} more`), view(failures.slice(FAILURES_SHOWN))) : null];
}

export async function resultsView(run, signal) {
  const { shards } = await get(runPath(run.id, "shards"), signal);
  return [h("h2", {}, "Explain a document"), explainView(run), h("h2", {}, "Shards"), shardView(run, shards),
    h("p", { class: "row" }, h("button", { type: "button", onclick: () => save(run) }, "Save the report"),
      h("a", { href: `#/compare/${run.id}/${run.id}` }, "Compare with another run"), h("a", { href: `#/train/${run.id}` }, "Train a model on it"))];
}

function explainView(run) {
  const input = h("input", { required: true, spellcheck: "false" }), found = h("div", { "aria-live": "polite" });
  async function explain(event) {
    event.preventDefault();
    try {
      const path = runPath(run.id, `documents/${encodeURIComponent(input.value)}/explain`);
      fill(found, (await get(path)).documents.map((one) => h("div", { class: "document" },
        h("p", {}, h("b", {}, one.id), ` ${one.fate}`), one.sentences.map((text) => h("p", {}, text)),
        h("details", {}, h("summary", {}, "Scores"), table(null, [["column", "", ([name]) => name], ["value", "n", ([, value]) => String(value)]], Object.entries(one.scores))))));
    } catch (error) {
      fill(found, h("p", { class: "muted" }, told(error)));
    }
  }
  return h("form", { onsubmit: explain }, field("Id or key", input, "as scores/ has it; a record without one has FILE:POSITION"),
    h("p", { class: "row" }, h("button", {}, "Explain")), found);
}

function shardView(run, shards) {
  const place = h("div", { "aria-live": "polite" });
  async function preview(shard) {
    try {
      const found = await get(runPath(run.id, `shards/${encodeURIComponent(shard.name)}/preview?limit=10`));
      fill(place, h("h3", {}, `${shard.name}: the first ${found.documents.length} of ${count(found.rows)}`),
        found.documents.map((one) => h("div", { class: "document" },
          h("p", { class: "muted small" }, `${one.id} · ${one.lang || "und"} · ${count(one.tokens)} tokens`),
          h("blockquote", { lang: /^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/.test(one.lang || "") ? one.lang : null }, one.text + (one.is_cut ? " …" : "")))));
    } catch (error) {
      say(told(error), true);
    }
  }
  return [table(null, [["shard", "", (shard) => shard.name], ["documents", "n", (shard) => count(shard.rows)], ["tokens", "n wide", (shard) => count(shard.tokens)],
    ["size", "n wide", (shard) => bytes(shard.bytes)], ["", "", (shard) => h("button", { type: "button", onclick: () => preview(shard), "aria-label": `Look into ${shard.name}` }, "Look")]], shards, { class: "cards" }), place];
}

async function save(run) {
  try {
    const url = URL.createObjectURL(await getBlob(runPath(run.id, "report")));
    h("a", { href: url, download: `report-${run.id}.html` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  } catch (error) {
    say(told(error), true);
  }
}

export async function showCompare(main, signal, first, second) {
  document.title = "Compare · Curator";
  const { runs } = await get("/v1/runs?state=succeeded&limit=200", signal);
  const choice = (label, chosen) => {
    const control = h("select", { onchange: choose }, h("option", { value: "" }, "choose a run"),
      runs.map((run) => h("option", { value: run.id, selected: run.id === chosen }, `${run.id} ${run.recipe} ${run.output.split("/").pop()}`)));
    return [control, h("div", { class: "field" }, field(label, control))];
  };
  const [one, oneLabel] = choice("Run", first), [other, otherLabel] = choice("Beside it", second);
  const place = h("div");
  fill(main, h("h1", {}, "Compare"), h("div", { class: "row" }, oneLabel, otherLabel), place);
  function choose() {
    if (one.value && other.value) location.hash = `#/compare/${one.value}/${other.value}`;
  }
  if (!first || !second) return fill(place, h("p", { class: "muted" }, "Two runs that have succeeded, side by side."));
  const [left, right] = await Promise.all([first, second].map((id) => get(runPath(id, "funnel"), signal)));
  fill(place, comparison("In all", compareCounts(left.all, right.all)), comparison("Languages: share that is left", compareLanguages(left, right)));
}

function compareCounts(left, right) {
  const events = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  const order = ["in", "failed", "created"], last = ["kept", "copies", "erased"];
  const rank = (event) => (order.includes(event) ? order.indexOf(event) : last.includes(event) ? 100 + last.indexOf(event) : 50);
  return events.sort((one, other) => rank(one) - rank(other) || one.localeCompare(other)).map((event) => {
    const before = documents(left, event), after = documents(right, event);
    return { name: event.split("/").slice(2).join("/") || event, before: count(before), after: count(after), change: signed(after - before), kind: rank(event) === 50 ? "" : "sum" };
  });
}

function compareLanguages(left, right) {
  const names = [...new Set([...Object.keys(left.languages), ...Object.keys(right.languages)])];
  const part = (counts) => (counts ? documents(counts, "kept") / (entered(counts) || 1) : NaN);
  const size = (name) => entered(left.languages[name] || right.languages[name]);
  return names.sort((one, other) => size(other) - size(one)).slice(0, LANGUAGES_SHOWN).map((name) => {
    const before = part(left.languages[name]), after = part(right.languages[name]);
    const shown = (value) => (Number.isNaN(value) ? "none" : share(value, 1));
    const points = 100 * (after - before);
    return { name, before: shown(before), after: shown(after), change: Number.isNaN(points) ? "" : `${points > 0 ? "+" : ""}${points.toFixed(1)} points` };
  });
}

const signed = (value) => (value > 0 ? `+${count(value)}` : count(value));

function comparison(title, rows) {
  return [h("h2", {}, title), table(null, [["", "", (row) => row.name], ["first", "n", (row) => row.before], ["second", "n", (row) => row.after], ["change", "n", (row) => row.change]], rows)];
}
