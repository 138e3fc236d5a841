// Small means that all parts of the page use. Text from elsewhere only ever becomes a text node.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
export const $ = (id) => document.getElementById(id);

// Okabe and Ito's palette: told apart by everybody; the letter says the same without colour.
const PALETTE = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999"];
let places = new Map(), letters = new Map();

export function setNames(list) {
  places = new Map(list.map((name, place) => [name, place]));
  const first = (name) => name[0].toUpperCase(), rivals = new Map();
  for (const name of list) rivals.set(first(name), (rivals.get(first(name)) ?? 0) + 1);
  letters = new Map(list.map((name, place) => [name, rivals.get(first(name)) < 2 ? first(name) : String(place + 1)]));
}
export function colour(name) {
  const place = places.get(name);
  return place === undefined ? "#bbbbbb" : PALETTE[place % PALETTE.length];
}
export const letter = (name) => letters.get(name) ?? name[0].toUpperCase();
export function badge(name) {
  const mark = el("span", { class: "node-letter", title: name }, letter(name));
  mark.style.setProperty("background", colour(name));
  return mark;
}

/// The digits of an id that tell it from others: all begin with zeros.
export function short(hash) { return hash.replace(/^0+/, "").slice(0, 6) || hash.slice(0, 6); }
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour12: false });
export const link = (path, text) => el("a", { href: `#/${path}`, class: "mono" }, text);
export const blockLink = (hash, text) => link(`block/${hash}`, text ?? `${short(hash)}…`);
export const nodeLink = (name) => el("a", { href: `#/node/${encodeURIComponent(name)}` }, name);
export const addressLink = (address) => address ? link(`address/${address}`, `${address.slice(0, 14)}…${address.slice(-6)}`) : "";
export const txLink = (txid) => link(`tx/${txid}`, `${txid.slice(0, 10)}…`);

export const coins = (value) => value === undefined ? "" : Number(value).toFixed(8);
export const count = (number, what) => `${number} ${what}${number === 1 ? "" : what.endsWith("sh") ? "es" : "s"}`;

export function table(head, rows) {
  const cell = (tag) => (value) => Array.isArray(value) ? el(tag, {}, value) : el(tag, typeof value === "number" ? { class: "num" } : {}, value?.nodeType ? value : String(value ?? ""));
  return el("table", {}, el("thead", {}, el("tr", {}, head.map(cell("th")))), el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell("td"))))));
}
export function keys(pairs) {
  return el("dl", { class: "keys" }, pairs.filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value?.nodeType || Array.isArray(value) ? value : String(value))]));
}

const token = document.querySelector("meta[name=tine-token]").content;
let calls = 0;

/// Calls a JSON-RPC method of a node; an error carries the node's own words.
export async function rpc(node, method, params = []) {
  const response = await fetch(`/api/rpc/${encodeURIComponent(node)}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-tine-token": token },
    body: JSON.stringify({ jsonrpc: "2.0", id: ++calls, method, params }),
  });
  if (response.status === 403 || response.status === 404 || response.status === 413) throw new Error(await response.text());
  const answer = await response.json();
  if (answer.error) throw new Error(answer.error.message);
  return answer.result;
}
export async function fetchJson(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}
