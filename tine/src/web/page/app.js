// Keeps the page up to date: the state and the tree once, then events; whoever was away is told what was missed.

import { $, badge, clock, el, fetchJson, letter, rpc, setNames } from "./dom.js";
import { route, search } from "./details.js";
import { drawNetwork, drawNodes, sendDot } from "./network.js";
import { drawTimeline, goneAt, learn, unlearn, unlearnAll } from "./timeline.js";
import { drawLegend, drawTree, noteSight } from "./tree.js";

const KEPT = 20_000, STATE_EVERY = 2_000, REST = 250;
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

/// Nodes that are, or were, stopped at the time that is looked at.
const gone = () => new Set(state.nodes.filter((node) => at === null ? !node.running : goneAt(node.name, at)).map((node) => node.name));

function paintTree() {
  if (!tree || !state) return;
  drawTree(tree, { at, tipsAt: at === null ? null : tipsAt(at), chosen, gone: gone() });
  if (!performance.getEntriesByName("tine-tree").length) performance.mark("tine-tree");
}
function paintTimeline() {
  if (!state) return;
  const to = present();
  drawTimeline(state.nodes.map((node) => node.name), events, { from: to - span(), to, at });
  $("clock").textContent = at === null ? "" : clock(at);
}

/// Runs `work` once at a time and, while it is asked for again, once more; with a rest of so many milliseconds between.
function gathered(work, rest) {
  let busy = false, again = false;
  return async function ask() {
    if (busy) { again = true; return; }
    busy = true;
    try { await work(); } catch { /* the stream says that the node is gone */ }
    if (rest) await new Promise((resolve) => setTimeout(resolve, rest));
    busy = false;
    if (again) { again = false; ask(); }
  };
}

async function loadTree() {
  const node = $("perspective").value;
  tree = await fetchJson(`/api/tree?runs=${$("runs").checked}${node ? `&node=${encodeURIComponent(node)}` : ""}`);
}
const refreshTree = gathered(async () => { await loadTree(); paintTree(); }, 0);

async function loadState() {
  const fresh = await fetchJson("/api/state");
  const names = fresh.nodes.map((node) => node.name);
  const isNew = !state || names.join() !== state.nodes.map((node) => node.name).join();
  const wallets = (of) => [...new Set((of?.nodes ?? []).flatMap((node) => node.wallets))].join();
  const others = gone.last !== fresh.nodes.map((node) => node.running).join();
  gone.last = fresh.nodes.map((node) => node.running).join();
  state = fresh;
  if (isNew) { setNames(names); introduce(names); }
  if (wallets(state) && wallets(state) !== introduce.wallets) { introduce.wallets = wallets(state); fillWallets(); }
  if (isNew || others) fillNodes();
}
function paintState() {
  drawNetwork(state.nodes);
  drawNodes(() => state, tell);
}
const refreshState = gathered(async () => {
  await loadState();
  paintState();
  // whatever was missed of the tree is seen here
  if (tree && state.nodes.some((node) => tree.tips[node.name] !== node.tip)) refreshTree();
}, REST);

function introduce(names) {
  $("network").textContent = `${state.network} · ${state.version}`;
  document.title = `tine · ${state.network}`;
  drawLegend(names);
  $("perspective").replaceChildren(el("option", { value: "" }, "most work"), ...names.map((name) => el("option", {}, name)));
  $("groups").replaceChildren(...names.map((name, place) => el("label", {}, el("input", { type: "checkbox", name, checked: place === 0 }), " ", badge(name), ` ${letter(name) === name ? "" : name}`)), "from the rest");
  $("controls").hidden = !state.controls;
}
/// Who can be asked to do something: nodes that run.
function fillNodes() {
  for (const select of document.querySelectorAll("select.nodes")) {
    const before = select.value;
    select.replaceChildren(...state.nodes.filter((node) => node.running).map((node) => el("option", { selected: node.name === before }, node.name)));
  }
}
function fillWallets() {
  for (const select of document.querySelectorAll("select.wallets")) select.replaceChildren(...introduce.wallets.split(",").map((name) => el("option", { selected: name === "bob" }, name)));
}

// -- events

const TREE = new Set(["block", "tip", "reorg", "invalid", "stopped", "started"]), STATE = new Set(["tip", "links", "reorg", "stopped", "started"]);

function take(event, live) {
  if (event.id <= lastId) return;
  lastId = event.id;
  events.push(event);
  learn(event);
  if (event.kind === "block") noteSight(event);
  if (events.length > KEPT + 1_000) events.splice(0, 1_000).forEach(unlearn);
  if (!live) return;
  if (event.kind === "block" && event.from) sendDot(event.from, event.node, true);
  if (event.kind === "tx") for (const node of state?.nodes ?? []) if (node.name !== event.node && node.peers?.includes(event.node)) sendDot(event.node, node.name, false);
  if (TREE.has(event.kind)) refreshTree();
  if (STATE.has(event.kind)) refreshState();
  if (event.kind === "reorg" && !location.hash.replace(/^#\/?/, "")) location.hash = `#/reorg/${encodeURIComponent(event.node)}/${event.number}`;
}

/// First what is to be seen now; then everything from the beginning of what is kept: at the start, and when too much was missed.
async function startAnew() {
  await Promise.all([loadState(), loadTree()]);
  paintTree();
  paintState();
  if (state.ended) { setLive("recorded", true); $("span").value = "0"; }
  if (run !== state.run) { events = []; lastId = 0; run = state.run; unlearnAll(); }
  for (let from = lastId + 1; ;) {
    const past = await fetchJson(`/api/history?from=${from}`);
    past.forEach((event) => take(event, false));
    if (past.length === 0 || lastId >= state.last) break;
    from = lastId + 1;
  }
  refreshTree();
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
const running = () => state.nodes.filter((node) => node.running);

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
    const infos = await Promise.all(running().map((node) => rpc(node.name, "tine_netinfo")));
    await Promise.all(infos.map((info) => rpc(info.name, "tine_netsplit", { identities: infos.filter((other) => inside.has(other.name) !== inside.has(info.name)).map((other) => other.identity) })));
  });
});
$("heal").addEventListener("click", () => tell("heal", () => Promise.all(running().map((node) => rpc(node.name, "tine_netheal")))));

onSubmit("search", async (form) => {
  const said = $("found");
  said.textContent = "";
  try { location.hash = await search(state, String(form.get("q"))); } catch (error) { said.textContent = error.message; }
});
addEventListener("hashchange", async () => { chosen = await route(state, events); paintTree(); });
$("perspective").addEventListener("change", refreshTree);
$("runs").addEventListener("change", refreshTree);
$("follow").addEventListener("change", paintTree);

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
  else if (event.key === " ") look(at === null ? present() : null);
  else return;
  event.preventDefault();
});

setInterval(() => { if (!document.hidden && state) { refreshState(); paintTimeline(); } }, STATE_EVERY);
addEventListener("resize", () => { paintTree(); paintTimeline(); });
$("legend").open = innerWidth > 720;
follow();
