// Keeps the page up to date: the state once, then events; whoever was away is told what was missed.

import { $, badge, clock, el, fetchJson, letter, rpc, setNames } from "./dom.js";
import { route, search } from "./details.js";
import { drawNetwork, drawNodes, sendDot } from "./network.js";
import { drawTimeline } from "./timeline.js";
import { drawLegend, drawTree } from "./tree.js";

const KEPT = 20_000, STATE_EVERY = 2_000;
let state = null, tree = null, events = [], chosen = null, lastId = 0, run = null;
/// The time that is looked at; null: the present.
let at = null;

// -- the picture

const span = () => Number($("span").value) * 1000 || Math.max(1000, present() - (events[0]?.t ?? 0));
/// The end of a run that is over, or now.
const present = () => state?.ended ?? Date.now();
const scrubTime = () => { const to = present(); return to - span() * (1 - Number($("scrub").value) / 1000); };

function tipsAt(time) {
  const tips = {};
  for (const event of events) if (event.kind === "tip" && event.t <= time) tips[event.node] = event.hash;
  return tips;
}

function paintTree() { if (tree) drawTree(tree, { at, tipsAt: at === null ? null : tipsAt(at), chosen }); }
function paintTimeline() {
  if (!state) return;
  const to = present();
  const miners = new Map((tree?.blocks ?? []).map((block) => [block.hash, block.miner]));
  drawTimeline(state.nodes.map((node) => node.name), events, miners, { from: to - span(), to, at });
  $("clock").textContent = at === null ? "" : clock(at);
}

let treeAsked = false, treeStale = false;
/// One question for the tree at a time; what happens meanwhile asks once more.
async function refreshTree() {
  if (treeAsked) { treeStale = true; return; }
  treeAsked = true;
  const node = $("perspective").value;
  try {
    tree = await fetchJson(`/api/tree${node ? `?node=${encodeURIComponent(node)}` : ""}`);
    paintTree();
  } catch { /* the stream says that the node is gone */ }
  treeAsked = false;
  if (treeStale) { treeStale = false; refreshTree(); }
}

async function refreshState() {
  const fresh = await fetchJson("/api/state");
  const names = fresh.nodes.map((node) => node.name);
  const isNew = !state || names.join() !== state.nodes.map((node) => node.name).join();
  state = fresh;
  if (isNew) {
    setNames(names);
    introduce(names);
  }
  drawNetwork(state.nodes);
  drawNodes(state.nodes, state.controls, tell);
}

function introduce(names) {
  $("network").textContent = `${state.network} · ${state.version}`;
  drawLegend(names);
  $("perspective").replaceChildren(el("option", { value: "" }, "most work"), ...names.map((name) => el("option", {}, name)));
  for (const select of document.querySelectorAll("select.nodes")) select.replaceChildren(...names.map((name) => el("option", {}, name)));
  const wallets = [...new Set(state.nodes.flatMap((node) => node.wallets))];
  for (const select of document.querySelectorAll("select.wallets")) select.replaceChildren(...wallets.map((name) => el("option", { selected: name === "bob" }, name)));
  $("groups").replaceChildren(...names.map((name, place) => el("label", {}, el("input", { type: "checkbox", name, checked: place === 0 }), " ", badge(name), ` ${letter(name) === name ? "" : name}`)), "from the rest");
  $("controls").hidden = !state.controls;
}

// -- events

function take(event, live) {
  if (event.id <= lastId) return;
  lastId = event.id;
  events.push(event);
  if (events.length > KEPT) events.shift();
  if (!live) return;
  if (event.kind === "block" && event.from) sendDot(event.from, event.node, true);
  if (event.kind === "tx") for (const node of state?.nodes ?? []) if (node.name !== event.node && node.peers?.includes(event.node)) sendDot(event.node, node.name, false);
  if (["block", "tip", "reorg", "invalid"].includes(event.kind)) refreshTree();
  if (["tip", "links", "reorg"].includes(event.kind)) refreshState().catch(() => {});
  if (event.kind === "reorg" && !location.hash.replace(/^#\/?/, "")) location.hash = `#/reorg/${event.node}/${event.number}`;
}

/// Everything from the beginning of what is kept: at the start, and when too much was missed.
async function startAnew() {
  await refreshState();
  if (state.ended) { setLive("recorded", true); $("span").value = "0"; }
  if (run !== state.run) { events = []; lastId = 0; run = state.run; }
  for (let from = lastId + 1; ;) {
    const past = await fetchJson(`/api/history?from=${from}`);
    past.forEach((event) => take(event, false));
    if (past.length === 0 || lastId >= state.last) break;
    from = lastId + 1;
  }
  await refreshTree();
  paintTimeline();
  chosen = await route(state, events);
  paintTree();
}

function setLive(text, on) {
  $("live").textContent = text;
  $("live").className = `chip ${on ? "on" : "off"}`;
}

function follow() {
  const source = new EventSource("/api/events");
  source.addEventListener("open", () => setLive(state?.ended ? "recorded" : "live", true));
  source.addEventListener("error", () => setLive("reconnecting", false));
  source.addEventListener("reset", () => { startAnew().catch((error) => setLive(error.message, false)); });
  source.addEventListener("message", (message) => take(JSON.parse(message.data), true));
}

// -- what a person does

async function tell(what, work) {
  const said = $("said");
  said.className = "";
  said.textContent = `${what} …`;
  try {
    const result = await work();
    said.textContent = `${what}: done`;
    return result;
  } catch (error) {
    said.className = "bad";
    said.textContent = `${what}: ${error.message}`;
  }
}

function onSubmit(id, work) {
  $(id).addEventListener("submit", (event) => { event.preventDefault(); work(new FormData(event.target)); });
}

onSubmit("mine", (form) => tell(`mine ${form.get("count")} on ${form.get("node")}`, () => rpc(form.get("node"), "tine_mine", { count: Number(form.get("count")) })));
onSubmit("pay", async (form) => {
  const sent = await tell(`${form.get("from")} pays ${form.get("to")} ${form.get("amount")}`, () => rpc(form.get("from"), "tine_send", { wallet: form.get("from"), to: form.get("to"), amount: form.get("amount") }));
  if (sent) location.hash = `#/tx/${sent.txid}`;
});
onSubmit("line", (form) => tell(`line of ${form.get("node")}`, () => rpc(form.get("node"), "tine_netfault", { delay_ms: Number(form.get("delay")), drop_percent: Number(form.get("drop")) })));
onSubmit("split", () => {
  const inside = new Set([...$("groups").querySelectorAll("input:checked")].map((box) => box.name));
  tell("split", async () => {
    if (inside.size === 0 || inside.size === state.nodes.length) throw new Error("tick some of the nodes, not all: they are cut off from the rest");
    const infos = await Promise.all(state.nodes.map((node) => rpc(node.name, "tine_netinfo")));
    await Promise.all(infos.map((info) => rpc(info.name, "tine_netsplit", { identities: infos.filter((other) => inside.has(other.name) !== inside.has(info.name)).map((other) => other.identity) })));
  });
});
$("heal").addEventListener("click", () => tell("heal", () => Promise.all(state.nodes.map((node) => rpc(node.name, "tine_netheal")))));

onSubmit("search", async (form) => {
  try { location.hash = await search(state, String(form.get("q"))); } catch (error) { tell("search", () => { throw error; }); }
});
addEventListener("hashchange", async () => { chosen = await route(state, events); paintTree(); });
$("perspective").addEventListener("change", refreshTree);

// -- back in time

function look(time) { at = time; if (time === null) $("scrub").value = 1000; paintTree(); paintTimeline(); }
function step(direction) {
  const times = events.filter((event) => event.kind !== "tx" && event.kind !== "tx-removed").map((event) => event.t);
  const here = at ?? present();
  const next = direction < 0 ? times.filter((time) => time < here).pop() : times.find((time) => time > here);
  look(next ?? (direction > 0 ? null : at));
}
$("scrub").addEventListener("input", () => look(Number($("scrub").value) >= 1000 ? null : scrubTime()));
$("span").addEventListener("change", paintTimeline);
$("back").addEventListener("click", () => step(-1));
$("forth").addEventListener("click", () => step(1));
$("now").addEventListener("click", () => look(null));
addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea, button, summary") || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "ArrowRight") step(1);
  else if (event.key === " ") look(null);
  else return;
  event.preventDefault();
});

setInterval(() => { if (!document.hidden) { refreshState().catch(() => {}); paintTimeline(); } }, STATE_EVERY);
addEventListener("resize", () => { paintTree(); paintTimeline(); });
follow();
