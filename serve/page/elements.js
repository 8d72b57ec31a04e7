// Elements and numbers. Text goes in as text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

// Puts children in the place of those that are there. What had the focus has it again, and what was open is open.
export function fill(element, ...children) {
  const inside = element !== document.activeElement && element.contains(document.activeElement);
  const held = inside ? { called: calling(document.activeElement), at: named(element, document.activeElement) } : null;
  const open = new Set([...element.querySelectorAll("details[open]")].map(summed));
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  if (open.size) for (const one of element.querySelectorAll("details")) if (open.has(summed(one))) one.open = true;
  if (held) alike(element, held.called)[held.at]?.focus({ preventScroll: true });
}

const filled = new WeakMap();

// Fill an element anew where it is about something else than when it was filled last: what lies under a pointer or has
// been typed stays.
export function refill(element, about, make) {
  const now = JSON.stringify(about);
  if (filled.get(element) === now) return;
  filled.set(element, now);
  fill(element, make());
}

const summed = (details) => details.querySelector("summary").textContent.replace(/[\d,]+/g, "");
const calling = (one) => `${one.tagName} ${one.getAttribute("href") || one.getAttribute("aria-label") || (one.id ? "" : one.textContent.slice(0, 100))}`;
const alike = (element, called) => [...element.querySelectorAll("a, button, summary, pre")].filter((one) => calling(one) === called);
const named = (element, one) => alike(element, calling(one)).indexOf(one);

export const count = (value) => Number(value).toLocaleString("en");
export const share = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)}%` : "");

export function bytes(value) {
  let size = Number(value);
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (size < 999.5 || unit === "TB") return `${size < 10 && unit !== "B" ? size.toFixed(1) : size.toFixed(0)} ${unit}`;
    size /= 1000;
  }
  return "";
}

export function duration(seconds) {
  if (!(seconds >= 0) || !Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${seconds.toFixed(0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

export function when(seconds) {
  const text = new Date(1000 * seconds).toLocaleString("sv").slice(0, 19);
  return h("time", { datetime: new Date(1000 * seconds).toISOString() }, text);
}

export const state = (name) => h("span", { class: `state ${name}` }, name);

// A table; a column is [heading, class, cell of a row]. The first cell of a row names it.
export function table(caption, columns, rows, attributes) {
  const head = columns.map(([heading, kind]) => h("th", { scope: "col", class: kind }, heading));
  const body = rows.map((row) => h("tr", { class: row.kind }, columns.map(([, kind, cell], index) =>
    index ? h("td", { class: kind }, cell(row)) : h("th", { scope: "row", class: kind }, cell(row)))));
  return h("div", { class: "scroll" }, h("table", attributes, caption && h("caption", {}, caption),
    h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

// A bar of parts [size, class, title] out of a whole.
export function bar(parts, whole) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", parts.map(([, , title]) => title).join(", "));
  let begin = 0;
  for (const [size, kind, title] of parts) {
    if (!size || !whole) continue;
    const piece = document.createElementNS(SVG, "rect");
    const width = (100 * size) / whole;
    piece.setAttribute("x", `${begin}%`);
    piece.setAttribute("width", `${Math.min(width, 100 - begin)}%`);
    piece.setAttribute("height", "14");
    piece.setAttribute("class", kind);
    const told = document.createElementNS(SVG, "title");
    told.textContent = title;
    piece.append(told);
    svg.append(piece);
    begin += width;
  }
  return svg;
}

// Labels as people write them: NAME=VALUE, with commas between.
export function labelsOf(text) {
  const named = text.split(",").map((label) => label.trim()).filter(Boolean).map((label) => label.split(/=(.*)/s).slice(0, 2));
  return Object.fromEntries(named.map(([name, value]) => [name, value || ""]));
}

export function field(label, control, hint) {
  const id = `f-${label.toLowerCase().replace(/[^a-z0-9]+/g, "-")}-${field.number++}`;
  control.id = id;
  const told = hint && h("p", { class: "hint", id: `${id}-hint` }, hint);
  if (told) control.setAttribute("aria-describedby", told.id);
  return [h("label", { for: id }, label), told, control];
}
field.number = 0;

// What tells one text from another, for keys of requests.
export async function digest(text) {
  if (!crypto.subtle) return String(text.length);
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return [...bytes.slice(0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function say(text, wrong) {
  const place = document.getElementById("said");
  fill(place, h("p", { class: wrong ? "wrong" : "" }, text));
  clearTimeout(say.timer);
  say.timer = setTimeout(() => fill(place), wrong ? 12000 : 5000);
}

// What was said is of no interest any more: something else was done meanwhile.
export function hush() {
  clearTimeout(say.timer);
  fill(document.getElementById("said"));
}

export function told(error) {
  return error.hint ? `${error.message} (${error.hint})` : error.message;
}
