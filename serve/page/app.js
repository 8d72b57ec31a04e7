// The page: asks for a token, and shows what the address behind # names.

import { Refusal, get, token } from "./client.js";
import { field, fill, h, hush, say, told } from "./elements.js";
import { showList } from "./list.js";
import { showRun } from "./live.js";
import { showCompare } from "./results.js";
import { showSubmit } from "./submit.js";
import { showTrain, showTraining, showTrainings } from "./trainings.js";

const main = document.getElementById("main");
let shown = new AbortController();

const PAGES = [
  [/^\/?$/, showList],
  [/^\/runs\/([0-9a-f]+)$/, showRun],
  [/^\/compare(?:\/([0-9a-f]+)\/([0-9a-f]+))?$/, showCompare],
  [/^\/submit$/, showSubmit],
  [/^\/trainings$/, showTrainings],
  [/^\/trainings\/([0-9a-f]+)$/, showTraining],
  [/^\/train(?:\/([0-9a-f]+))?$/, showTrain],
];

async function route() {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  const path = location.hash.slice(1);
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === "#/" ? path === "" || path === "/" || path.startsWith("/runs/") : `${path}/`.startsWith(`${link.hash.slice(1)}/`);
    if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  if (!token.get()) return showSignIn();
  for (const [pattern, show] of PAGES) {
    const match = pattern.exec(path);
    if (!match) continue;
    try {
      await show(main, signal, ...match.slice(1));
    } catch (error) {
      if (!signal.aborted) failed(error);
    }
    return;
  }
  fill(main, h("h1", {}, "Nothing here"), h("p", {}, h("a", { href: "#/" }, "All runs")));
}

function failed(error) {
  if (error instanceof Refusal && error.status === 401) {
    token.clear();
    document.getElementById("leave").hidden = true;
    return showSignIn(error);
  }
  fill(main, h("div", { class: "warnings", role: "alert" }, h("p", {}, told(error))));
}

function showSignIn(error) {
  document.title = "Curator";
  const input = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false" });
  const form = h("form", { onsubmit: signIn }, field("Token", input,
    "`curator tokens create NAME` makes one. It stays in this tab, until the tab is closed."),
    h("p", { class: "row" }, h("button", { class: "main" }, "Open")));
  fill(main, h("h1", {}, "Runs"), error && h("div", { class: "warnings", role: "alert" }, h("p", {}, told(error))), form);
  input.focus();

  async function signIn(event) {
    event.preventDefault();
    token.set(input.value.trim());
    try {
      await greet();
      hush();
      route();
      main.focus();
    } catch (refused) {
      token.clear();
      say(told(refused), true);
    }
  }
}

async function greet() {
  const me = await get("/v1/me");
  document.getElementById("who").textContent = `${me.name} (${me.scope})`;
  document.getElementById("leave").hidden = false;
}

document.getElementById("leave").addEventListener("click", () => {
  token.clear();
  document.getElementById("who").textContent = "";
  document.getElementById("leave").hidden = true;
  route();
});
window.addEventListener("hashchange", () => { hush(); route(); main.focus(); });
if (token.get()) greet().catch(failed);
route();
