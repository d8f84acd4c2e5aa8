"use strict";
const STEP = 500; // rows drawn at a time
const PAUSE = 120; // milliseconds after the last key before the table is filtered
const JOINS = /(?<!\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?)[\u200d\ufe0f]/u; // outside emoji
const BLANKS = /(?![\u200d\ufe0f])[\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}\p{Cs}\u2800]|(?! )\p{Zs}/u;
const UNSEEN = new RegExp([/^ +| +$/u, JOINS, BLANKS].map((part) => part.source).join("|"), "gu");
const SIGNS = { "\n": "\u23ce", "\r": "\u240d", "\t": "\u21e5" };
const at = (id) => document.getElementById(id);
const rows = JSON.parse(at("entries").textContent);
const boxes = [...document.querySelectorAll("input[name=do]")];
const texts = []; // the searchable text of each row, made when first needed
let found = rows;
let drawn = 0;

// --- drawing; data becomes text nodes only ---

function make(tag, name, ...inside) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...inside);
  return node;
}

function mark(text) {
  const node = make("span", "mark", text);
  const code = text.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  node.dataset.code = text[0] === " " ? "\u2423".repeat(text.length) : SIGNS[text] || `[U+${code}]`;
  node.title = text[0] === " " ? `${text.length} × space` : `U+${code}`;
  return node;
}

function marked(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(UNSEEN)) {
    parts.push(text.slice(from, match.index), mark(match[0]));
    from = match.index + match[0].length;
  }
  return [...parts, text.slice(from)].filter((part) => part !== "");
}

// A text, null, or {added, text}: `added` keeps a spreadsheet from running the text, and is not in the plan.
function shown(value, name = "value", absent = "not set") {
  if (value === null) return make("em", "", absent);
  if (value === "") return make("em", "", "empty");
  const { added, text } = typeof value === "string" ? { added: "", text: value } : value;
  const node = make("bdi", name, ...marked(text));
  if (added) {
    const sign = make("span", "added", added);
    sign.title = "not part of the value: keeps spreadsheets from running it";
    node.prepend(sign);
  }
  return node;
}

function label(field, key) {
  return key === undefined ? make("dt", "", field) : make("dt", "", `${field}.`, shown(key, "key"));
}

function changed(row, [field, before, after, key]) {
  const dd = make("dd");
  const made = row.do === "create" || (row.doubts && !row.id);
  if (!made) dd.append(make("del", "", shown(before)), make("span", "arrow", "\u2192"));
  dd.append(make("ins", "", shown(after, "value", made ? "not set" : "removed")));
  return [label(field, key), dd];
}

function faulty([column, value, rule, remedy]) {
  const dt = make("dt", "", column === "" ? "whole row" : shown(column, "key"));
  return [dt, make("dd", "", shown(value), " ", shown(remedy, "prose"), " ", shown(rule, "rule"))];
}

// What a cell certainly means; the changes above show it where the plan takes it.
function advised([column, said, better, fix, taken]) {
  const means = make("ins", "", shown(better, "value", "nothing"));
  const verb = taken ? " file said " : " it means ";
  const writes = taken === "taken" ? ", plan writes " : ", once written it is ";
  const values = taken ? [shown(said), writes, means] : [means, ` (--fix ${fix})`, ", file said ", shown(said)];
  return make("p", "soft", shown(column, "key"), ":", verb, ...values);
}

function details(row) {
  const cell = make("td", "details");
  const changes = (row.changes || []).flatMap((change) => changed(row, change));
  const faults = (row.faults || []).flatMap(faulty);
  if (changes.length || faults.length) cell.append(make("dl", "", ...changes, ...faults));
  if (row.do === "archive") cell.append(make("p", "soft", "Archived permanently: the API cannot undo it."));
  if (row.why) cell.append(make("p", "", shown(row.why, "prose")));
  for (const doubt of row.doubts || []) cell.append(make("p", "doubt", "Doubt: ", shown(doubt, "prose")));
  if (row.decision) cell.append(make("p", "soft", "Decided: ", shown(row.decision, "prose")));
  cell.append(...(row.advice || []).map(advised));
  for (const note of row.notes || []) cell.append(make("p", "soft", "Note: ", shown(note, "prose")));
  return cell;
}

function drawRow(row) {
  const line = make("td", "line", row.line ? String(row.line) : "\u2013");
  const ids = [row.external_id, row.id].map((id) => make("td", "id", id ? shown(id, "id") : "\u2013"));
  return make("tr", "", line, make("td", `kind ${row.do}`, row.do.replace("_", " ")), ...ids, details(row));
}

function draw() {
  const fresh = found.slice(drawn, drawn + STEP).map(drawRow);
  at("body").append(...fresh);
  drawn += fresh.length;
  const match = found.length > drawn && found.length < rows.length ? `, ${found.length} match` : "";
  at("count").textContent = `${drawn} of ${rows.length} shown${match}`;
  at("more").hidden = found.length === drawn;
  at("more").textContent = `Show ${Math.min(STEP, found.length - drawn)} more`;
  return fresh[0];
}

// --- search ---

function words(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(words).join("\n");
  return typeof value === "object" ? value.added + value.text : String(value);
}

function searched(n) {
  const { line, do: kind, external_id, id, changes = [], faults, why, notes, doubts, advice } = rows[n];
  const named = changes.map(([field, before, after, key]) => [field + (key ? `.${words(key)}` : ""), before, after]);
  return (texts[n] ??= words([line, kind, external_id, id, named, faults, why, notes, doubts, advice]).toLowerCase());
}

function filter() {
  const text = at("search").value.toLowerCase();
  const kinds = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  found = rows.filter((row, n) => kinds.has(row.do) && (text === "" || searched(n).includes(text)));
  at("body").replaceChildren();
  drawn = 0;
  draw();
}

// --- the view in the address, such as #q=text&do=update,create ---

function fromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  const kinds = asked.get("do");
  at("search").value = asked.get("q") ?? "";
  for (const box of boxes) box.checked = kinds === null || kinds.split(",").includes(box.value);
  filter();
}

function toAddress() {
  const parts = [];
  const kinds = boxes.filter((box) => box.checked).map((box) => box.value);
  if (at("search").value) parts.push(`q=${encodeURIComponent(at("search").value)}`);
  if (kinds.length < boxes.length) parts.push(`do=${kinds.join(",")}`);
  history.replaceState(null, "", `#${parts.join("&")}`);
}

let pause = 0;
at("filter").addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => { filter(); toAddress(); }, PAUSE);
});
at("more").addEventListener("click", () => {
  const first = draw();
  if (!at("more").hidden || !first) return;
  first.tabIndex = -1; // the button is hidden: move the keyboard focus to the first new row
  first.focus();
});
addEventListener("hashchange", fromAddress);
at("table").hidden = false;
fromAddress();
