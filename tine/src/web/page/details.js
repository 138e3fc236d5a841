// The pages of a block, a transaction, a reorganisation, the mempools and a node.

import { $, badge, blockLink, clock, el, keys, rpc, short, svg, table, txLink } from "./dom.js";

const FIELDS = [["version", 4], ["previous block", 32], ["Merkle root", 32], ["time", 4], ["bits", 4], ["nonce", 4]];
const TINTS = ["#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00"];

function show(title, ...parts) {
  $("side-title").textContent = title;
  $("side-close").hidden = false;
  $("side-view").replaceChildren(...parts.flat().filter(Boolean));
}

/// Asks one node after the other: who was cut off does not know everything.
async function anyNode(state, method, params) {
  let last = new Error("no node is there");
  for (const node of state.nodes) {
    try { return [await rpc(node.name, method, params), node.name]; } catch (error) { last = error; }
  }
  throw last;
}

/// The 80 bytes of a header, field by field, each with what it means.
function annotated(hex) {
  let place = 0;
  return el("div", { class: "bytes" }, FIELDS.map(([name, length], number) => {
    const part = el("span", { title: `${name}: bytes ${place} to ${place + length - 1}, little-endian` }, hex.slice(2 * place, 2 * (place + length)));
    part.style.setProperty("--c", TINTS[number]);
    place += length;
    return [part, " "];
  }), el("div", {}, FIELDS.map(([name], number) => { const key = el("span", {}, name); key.style.setProperty("--c", TINTS[number]); return [key, " "]; })));
}

async function block(state, hash) {
  const [found, node] = await anyNode(state, "getblock", [hash, 2]);
  const raw = await rpc(node, "getblockheader", [hash, false]);
  show(`Block ${found.height}`,
    keys([["id", el("code", {}, found.hash)], ["previous", found.previousblockhash && blockLink(found.previousblockhash)],
      ["next", found.nextblockhash && blockLink(found.nextblockhash)], ["confirmations", found.confirmations < 0 ? "none: not on the active chain" : found.confirmations],
      ["time", new Date(found.time * 1000).toLocaleString()], ["cumulative work", `0x${found.chainwork.replace(/^0+/, "")}`],
      ["target", el("code", {}, found.target ?? found.bits)], ["size", `${found.size} bytes`]]),
    el("h3", {}, "The header: 80 bytes, hashed twice with SHA-256"), annotated(raw),
    el("p", { class: "mono" }, `id = SHA-256(SHA-256(header)), shown back to front; it must not be above the target that ${found.bits} encodes`),
    el("h3", {}, count(found.tx.length, "transaction")),
    table(["", "transaction", "pays", ""], found.tx.map((tx, place) => [place, txLink(tx.txid), sum(tx.vout), place === 0 ? "coinbase: the miner's reward" : `fee ${coins(tx.fee)}`])));
}

const coins = (value) => value === undefined ? "" : Number(value).toFixed(8);
const sum = (outputs) => coins(outputs.reduce((total, output) => total + Number(output.value), 0));
const count = (number, what) => `${number} ${what}${number === 1 ? "" : what.endsWith("sh") ? "es" : "s"}`;
const unhex = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const sha = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

/// The hashes beside a leaf's way up to the Merkle root, computed here in the browser.
async function merklePath(ids, place) {
  let level = ids.map((id) => unhex(id).reverse());
  const steps = [];
  while (level.length > 1) {
    if (level.length % 2) level.push(level[level.length - 1]);
    const beside = place ^ 1;
    const next = [];
    for (let i = 0; i < level.length; i += 2) next.push(await sha(await sha(new Uint8Array([...level[i], ...level[i + 1]]))));
    steps.push({ beside: hexOf(level[beside].slice().reverse()), left: beside < place, parent: hexOf(next[place >> 1].slice().reverse()) });
    level = next;
    place >>= 1;
  }
  return [steps, hexOf(level[0].slice().reverse())];
}

/// Drawn from the leaf below to the root on top.
function drawPath(leaf, steps) {
  const box = (x, y, text, own) => svg("g", { transform: `translate(${x} ${y})`, class: `block ${own ? "active" : ""}` },
    svg("rect", { width: 92, height: 24, rx: 5, fill: own ? "#009e73" : "#bbbbbb" }), svg("text", { x: 46, y: 16, "text-anchor": "middle" }, `${text.slice(0, 10)}…`));
  const height = (steps.length + 1) * 52;
  const parts = [box(110, height - 30, leaf, true)];
  steps.forEach((step, level) => {
    const y = height - 30 - level * 52;
    parts.unshift(svg("path", { class: "edge active", d: `M156 ${y}V${y - 28}` }), svg("path", { class: "edge", d: step.left ? `M56 ${y}L140 ${y - 28}` : `M256 ${y}L172 ${y - 28}` }));
    parts.push(box(step.left ? 10 : 210, y, step.beside, false), box(110, y - 52, step.parent, true));
  });
  return svg("svg", { width: 312, height, role: "img", "aria-label": "Merkle path" }, parts);
}

async function transaction(state, txid) {
  const [[story, node], found] = await Promise.all([
    anyNode(state, "tine_explaintx", { txid }),
    anyNode(state, "getrawtransaction", [txid, 2]).then(([tx]) => tx, () => null),
  ]);
  const place = story.block ? ["confirmed in ", blockLink(story.block, `block ${story.height}`), ` (${count(story.confirmations, "confirmation")})`]
    : story.in_mempool ? ["waits in the mempool"] : ["is in no block of the active chain and in no mempool"];
  const parts = [keys([["id", el("code", {}, txid)], ["now", el("span", {}, place, ` — as ${node} sees it`)],
    ["stale", story.stale_blocks.length ? story.stale_blocks.map((hash) => [blockLink(hash), " "]) : null]])];
  story.reorgs.forEach((line) => parts.push(el("p", { class: "card" }, line)));
  if (found) {
    parts.push(el("h3", {}, "Inputs"), table(["coin", "worth"], found.vin.map((input) => input.coinbase ? ["coinbase: new coins", ""] : [el("span", {}, txLink(input.txid), `:${input.vout}`), coins(input.prevout?.value)])),
      el("h3", {}, "Outputs"), table(["", "address", "amount"], found.vout.map((output) => [output.n, el("code", {}, output.scriptPubKey.address ?? ""), coins(output.value)])));
    if (story.block) {
      const [holder] = await anyNode(state, "getblock", [story.block, 2]);
      const ids = holder.tx.map((tx) => tx.hash);
      const number = holder.tx.findIndex((tx) => tx.txid === txid);
      const [steps, root] = await merklePath(ids, number);
      parts.push(el("h3", {}, "Merkle path"), el("p", {}, `${count(steps.length, "hash")} beside its way up prove that this is transaction ${number} of ${ids.length}. Computed here: ${root === holder.merkleroot ? "it ends in the header's Merkle root." : "it does NOT end in the header's root."}`),
        el("div", { class: "scroll" }, drawPath(ids[number], steps)));
    }
    parts.push(el("details", {}, el("summary", {}, `raw, ${found.size} bytes`), el("code", {}, found.hex)));
  }
  show("Transaction", ...parts);
}

const FATES = {
  "confirmed-again": (tx) => [el("span", { class: "good" }, "confirmed again"), " in ", blockLink(tx.in_block, tx.in_label)],
  returned: () => [el("span", { class: "good" }, "back in the mempool")],
  "too-early": (tx) => [`may be mined again from height ${tx.height}`],
  conflicted: (tx) => [el("b", { class: "bad" }, "conflicted"), ": ", txLink(tx.by), ` in ${tx.in_label} spends the same coin `, el("code", {}, String(tx.coin).slice(0, 14))],
  orphaned: () => ["reward of a block that no longer counts"],
};

function branch(title, blocks, work) {
  return [el("h3", {}, title, ` — work 0x${work.replace(/^(0x)?0*/, "")}`),
    table(["", "block", "seen", "tx"], blocks.map((block) => [block.label, blockLink(block.hash), clock(block.seen), block.transactions]))];
}

const WHY = { "most-work": "most work, not first seen", tie: "a tie: preferred, or complete first", "old-invalid": "the old branch was declared invalid" };

export function reorgCard(name, report, others) {
  const delays = others.length ? [el("h3", {}, "Who switched when"), table(["node", "after"], others.map(([other, ms]) => [other, `+${ms} ms`]))] : [];
  return el("div", { class: "card" },
    el("p", {}, badge(name), ` ${name} left ${count(report.depth, "block")} for ${report.connected.length} at ${clock(report.time)}; both branches leave block ${report.fork.height}. Why: `, el("b", {}, WHY[report.reason]), "."),
    branch("Out", report.disconnected, report.old_work), branch("In", report.connected, report.new_work),
    el("h3", {}, "What became of each transaction"),
    table(["transaction", "in", "conf.", "fate"], report.transactions.map((tx) => [txLink(tx.txid), tx.label, tx.confirmations, el("span", {}, FATES[tx.fate](tx))])),
    delays);
}

async function reorg(state, name, number, events) {
  const reports = await rpc(name, "tine_reorgs");
  const report = reports.find((found) => found.number === Number(number));
  if (!report) throw new Error(`${name} has no reorganisation ${number}`);
  const tip = report.connected[report.connected.length - 1].hash;
  const adopted = events.filter((event) => event.kind === "tip" && event.hash === tip).map((event) => [event.node, event.t]);
  const first = Math.min(...adopted.map(([, t]) => t));
  const card = reorgCard(name, report, adopted.map(([node, t]) => [node, t - first]));
  const save = el("button", { type: "button", onclick: () => saveCard(card, name, number) }, "save as one HTML file");
  show(`Reorganisation ${number} of ${name}`, card, el("p", {}, save));
}

async function saveCard(card, name, number) {
  const style = await (await fetch("/style.css")).text();
  const title = `Reorganisation ${number} of ${name}`;
  const copy = card.cloneNode(true);
  copy.querySelectorAll("a").forEach((a) => a.replaceWith(el("code", {}, a.textContent)));
  const page = new Blob([`<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><style>${style}body{padding:1rem;max-width:60rem}</style><h1>${title}</h1>${copy.outerHTML}`], { type: "text/html" });
  const a = el("a", { href: URL.createObjectURL(page), download: `reorg-${name}-${number}.html` });
  a.click();
  URL.revokeObjectURL(a.href);
}

async function mempool(state) {
  const pools = await Promise.all(state.nodes.map(async (node) => [node.name, await rpc(node.name, "getrawmempool", [true])]));
  const all = new Map(pools.flatMap(([, pool]) => Object.entries(pool)));
  const rows = [...all].sort((a, b) => a[1].time - b[1].time).slice(0, 200)
    .map(([txid, entry]) => [txLink(txid), entry.vsize, coins(entry.fees.base), el("span", {}, pools.filter(([, pool]) => pool[txid]).map(([name]) => [badge(name), " "]))]);
  show("Mempools", rows.length ? table(["transaction", "bytes", "fee", "known to"], rows) : el("p", {}, "Nothing waits to be mined."),
    all.size > 200 && el("p", {}, `and ${all.size - 200} more`));
}

async function node(state, name) {
  const [peers, wallets, why] = await Promise.all([rpc(name, "getpeerinfo"), rpc(name, "tine_walletlist"), rpc(name, "tine_explaintip")]);
  const own = state.nodes.find((found) => found.name === name);
  show(name,
    keys([["tip", blockLink(own.tip)], ["height", own.height], ["mempool", el("a", { href: "#/mempool" }, `${own.mempool} transactions`)],
      ["reorganisations", own.reorgs ? el("span", {}, Array.from({ length: Math.min(own.reorgs, 10) }, (_, back) => own.reorgs - 1 - back).map((number) => [el("a", { href: `#/reorg/${name}/${number}` }, String(number)), " "])) : 0]]),
    el("h3", {}, "Why this tip"), el("p", {}, `height ${why.height ?? own.height}, cumulative work 0x${own.work.replace(/^(0x)?0*/, "")}; of equals the one seen first`),
    el("h3", {}, "Peers"), table(["address", "way", "blocks", "ping"], peers.map((peer) => [el("code", {}, peer.addr), peer.inbound ? "in" : "out", peer.synced_blocks, peer.pingtime ? `${(peer.pingtime * 1000).toFixed(1)} ms` : ""])),
    el("h3", {}, "Wallets"), table(["", "confirmed", "pending", "immature"], wallets.map((wallet) => [wallet.name, wallet.balance.confirmed, wallet.balance.pending, wallet.balance.immature])));
}

function start(state) {
  $("side-title").textContent = "What to try";
  $("side-close").hidden = true;
  const [first, ...rest] = state.nodes.map((found) => found.name);
  const latest = state.nodes.find((found) => found.reorgs > 0);
  $("side-view").replaceChildren(el("ol", {},
    el("li", {}, "Watch: a miner finds a block, dots carry it, the flags follow."),
    el("li", {}, `Split ${first} from ${rest.join(", ")}; mine on both sides; two branches grow.`),
    el("li", {}, "Heal: the lighter side gives its blocks up. Its card says what became of each payment."),
    el("li", {}, "Click a block: its header, byte by byte. Click a transaction: its Merkle path.")),
    el("p", {}, el("a", { href: "#/mempool" }, "mempools"), latest ? [" · ", el("a", { href: `#/reorg/${latest.name}/${latest.reorgs - 1}` }, `last reorganisation of ${latest.name}`)] : ""));
}

/// Shows what the address says: #/block/…, #/tx/…, #/reorg/NODE/N, #/mempool, #/node/NAME.
export async function route(state, events) {
  const [what, first, second] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  try {
    if (what === "block") await block(state, first);
    else if (what === "tx") await transaction(state, first);
    else if (what === "reorg") await reorg(state, first, second, events);
    else if (what === "mempool") await mempool(state);
    else if (what === "node") await node(state, first);
    else start(state);
  } catch (error) {
    show("Not found", el("p", { class: "bad" }, error.message));
  }
  return what === "block" ? first : null;
}

/// Where a search leads: a height, a block, a transaction.
export async function search(state, text) {
  const query = text.trim().toLowerCase();
  if (/^\d{1,9}$/.test(query)) {
    const tree = await (await fetch("/api/tree")).json();
    const found = tree.blocks.find((found) => found.height === Number(query) && found.active);
    const [hash] = found ? [found.hash] : await anyNode(state, "getblockhash", [Number(query)]);
    return `#/block/${hash}`;
  }
  if (!/^[0-9a-f]{64}$/.test(query)) throw new Error(`${short(query)}: a height, or an id of 64 hexadecimal digits`);
  return anyNode(state, "getblockheader", [query, true]).then(() => `#/block/${query}`, () => `#/tx/${query}`);
}
