// A form for a new run: places, and the parameters of the recipe's stages from their schemas.

import { get, post } from "./client.js";
import { digest, field, fill, h, labelsOf, say, told } from "./elements.js";

export async function showSubmit(main, signal) {
  document.title = "Submit · Curator";
  const [{ recipes }, { stages, broken }] = await Promise.all([get("/v1/recipes", signal), get("/v1/stages", signal)]);
  const schemas = Object.fromEntries(stages.map((stage) => [stage.name, stage]));
  const key = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
  const recipe = h("select", { onchange: showStages }, recipes.map(({ name }) => h("option", { value: name, selected: name === "web" }, name)));
  const about = h("p", { class: "hint" });
  const inputs = h("textarea", { required: true, spellcheck: "false", placeholder: "/data/crawl/*.jsonl.zst" });
  const output = h("input", { required: true, spellcheck: "false", placeholder: "crawl-1" });
  const labels = h("input", { spellcheck: "false", placeholder: "team=web, dump=2026-11" });
  const timeout = h("input", { type: "number", min: "1", step: "any" });
  const parameters = h("div");
  const send = h("button", { class: "main" }, "Submit");
  let controls = [];
  fill(main, h("h1", {}, "Submit a run"), h("form", { onsubmit: submit },
    field("Recipe", recipe), about,
    field("Inputs", inputs, "files, directories or globs below an input root, one a line"),
    field("Output", output, "a new directory, below the output root"),
    field("Labels", labels, "NAME=VALUE, with commas between"),
    field("Time limit in seconds", timeout, "none if empty"),
    h("details", {}, h("summary", {}, "Parameters of the stages"), parameters),
    brokenView(broken),
    h("p", { class: "row" }, send)));
  await showStages();

  async function showStages() {
    about.textContent = recipes.find(({ name }) => name === recipe.value).about;
    controls = [];
    try {
      const found = await post("/v1/recipes/validate", { recipe: recipe.value });
      fill(parameters, found.stages.map((name) => stageView(name)));
      send.disabled = false;
    } catch (error) {
      fill(parameters, h("p", { class: "muted" }, told(error)));
      send.disabled = true;
    }
  }

  function stageView(name) {
    const { about: words, parameters: schema } = schemas[name];
    const fields = Object.entries(schema.properties || {}).map(([parameter, described]) => {
      const control = controlOf(described);
      if (!control) return null;
      controls.push({ name: `${name}.${parameter}`, control, described });
      return field(parameter, control, described.description || "");
    });
    return h("fieldset", {}, h("legend", {}, name), h("p", { class: "hint" }, words), fields);
  }

  async function submit(event) {
    event.preventDefault();
    const lines = inputs.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const body = { recipe: recipe.value, inputs: lines, output: output.value.trim(), overrides: overrides() };
    body.labels = labelsOf(labels.value);
    if (timeout.value) body.timeout_s = Number(timeout.value);
    send.disabled = true;
    try {
      // The key is that of this form and of what it says: a second click makes no second run.
      const run = await post("/v1/runs", body, { "Idempotency-Key": `${key}-${await digest(JSON.stringify(body))}` });
      location.hash = `#/runs/${run.id}`;
    } catch (error) {
      say(told(error), true);
    } finally {
      send.disabled = false;
    }
  }

  function overrides() {
    return controls.filter(({ control }) => control.value !== "").map(({ name, control }) => `${name}=${control.value}`);
  }
}

// Stages of other packages that could not be loaded: whoever misses one sees why.
function brokenView(broken) {
  if (!broken.length) return null;
  return h("section", { class: "warnings" },
    h("p", {}, "Stages that cannot be loaded, and that no recipe can have until their packages are mended and the service is started again:"),
    h("ul", {}, broken.map(({ detail }) => h("li", {}, detail))));
}

// The control of a parameter that is one value; lists and mappings are for recipes in files.
function controlOf(described) {
  const kinds = (described.anyOf || [described]).map((kind) => kind.type);
  const choices = described.enum || (described.anyOf || []).flatMap((kind) => kind.enum || []);
  const shown = described.default === undefined ? "" : `default: ${JSON.stringify(described.default)}`;
  if (choices.length) return choice(choices.map(String), shown);
  if (kinds.includes("boolean")) return choice(["true", "false"], shown);
  if (kinds.includes("integer") || kinds.includes("number")) return h("input", { inputmode: "decimal", pattern: "null|-?[0-9.]+(e-?[0-9]+)?", placeholder: shown });
  return null;
}

function choice(values, shown) {
  return h("select", {}, h("option", { value: "" }, shown || "as in the recipe"), values.map((value) => h("option", { value }, value)));
}
