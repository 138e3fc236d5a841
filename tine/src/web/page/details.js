// The pages of a block, a transaction, an address, a reorganisation, the mempools, a node and a peer.

import { headerBytes, drawPath, merklePath, transactionBytes } from "./bytes.js";
import { $, addressLink, badge, blockLink, coins, count, el, fetchJson, keys, link, nodeLink, rpc, short, table, txLink } from "./dom.js";
import { reorg } from "./reorg.js";
import { shortWork, sights } from "./tree.js";

/// Rows of one page of a list.
const PAGE = 25;

function show(title, ...parts) {
  $("side-title").textContent = title;
  $("side-close").hidden = false;
  $("side-view").replaceChildren(...parts.flat().filter(Boolean));
}

const running = (state) => state.nodes.filter((node) => node.running).map((node) => node.name);
/// As whom the tree is drawn, then the others: who was cut off does not know everything.
function eyes(state) {
  const all = running(state), wanted = $("perspective").value;
  return all.includes(wanted) ? [wanted, ...all.filter((name) => name !== wanted)] : all;
}

/// Asks one node after the other.
async function anyNode(state, method, params) {
  let last = new Error("no node is there");
  for (const name of eyes(state)) {
    try { return [await rpc(name, method, params), name]; } catch (error) { last = error; }
  }
  throw last;
}

/// What a coinbase says: the miner's tag, and whatever else is text.
const sayings = (hex) => (hex ?? "").replace(/../g, (pair) => { const code = parseInt(pair, 16); return code > 31 && code < 127 ? String.fromCharCode(code) : "·"; });

async function block(state, hash) {
  const [found, node] = await anyNode(state, "getblock", [hash, 2]);
  const raw = await rpc(node, "getblockheader", [hash, false]);
  const seen = sights(hash), first = seen[0]?.[1];
  show(`Block ${found.height}`,
    keys([["id", el("code", {}, found.hash)], ["previous", found.previousblockhash && blockLink(found.previousblockhash)],
      ["next", found.nextblockhash && blockLink(found.nextblockhash)], ["confirmations", found.confirmations < 0 ? "none: not on the active chain" : `${found.confirmations}, as ${node} sees it`],
      ["time", new Date(found.time * 1000).toLocaleString()], ["cumulative work", shortWork(found.chainwork)],
      ["target", el("code", {}, found.target ?? found.bits)], ["size", `${found.size} bytes`], ["coinbase says", el("code", {}, sayings(found.tx[0]?.vin[0]?.coinbase))],
      ["seen", seen.length ? el("span", {}, seen.slice(0, 8).map(([name, time]) => [badge(name), ` +${time - first} ms `]), seen.length > 8 ? `and ${seen.length - 8} more, the last +${seen[seen.length - 1][1] - first} ms` : "") : null]]),
    el("h3", {}, "The header: 80 bytes, hashed twice with SHA-256"), headerBytes(raw),
    el("p", { class: "mono" }, `id = SHA-256(SHA-256(header)), shown back to front; it must not be above the target that ${found.bits} encodes`),
    el("h3", {}, count(found.tx.length, "transaction")),
    table(["", "transaction", "pays", ""], found.tx.slice(0, 500).map((tx, place) => [place, txLink(tx.txid), sum(tx.vout), place === 0 ? "coinbase: the miner's reward" : `fee ${coins(tx.fee)}`])),
    found.tx.length > 500 && el("p", {}, `and ${found.tx.length - 500} more`));
}

const sum = (outputs) => coins(outputs.reduce((total, output) => total + Number(output.value), 0));

async function merkle(state, story, txid) {
  const [holder] = await anyNode(state, "getblock", [story.block, 2]);
  const ids = holder.tx.map((tx) => tx.hash), number = holder.tx.findIndex((tx) => tx.txid === txid);
  const [steps, root] = await merklePath(ids, number);
  return [el("h3", {}, "Merkle path"), el("p", {}, `${count(steps.length, "hash")} beside its way up prove that this is transaction ${number} of ${ids.length}. Computed here: ${root === holder.merkleroot ? "it ends in the header's Merkle root." : "it does NOT end in the header's root."}`),
    el("div", { class: "scroll" }, drawPath(ids[number], steps))];
}

async function transaction(state, txid) {
  const [[story, node], found] = await Promise.all([
    anyNode(state, "tine_explaintx", { txid }),
    anyNode(state, "getrawtransaction", [txid, 2]).then(([tx]) => tx, () => null),
  ]);
  const place = story.block ? ["confirmed in ", blockLink(story.block, `block ${story.height}`), ` (${count(story.confirmations, "confirmation")})`]
    : story.in_mempool ? ["waits in the ", link("mempool", "mempool")] : ["is in no block of the active chain and in no mempool"];
  const parts = [keys([["id", el("code", {}, txid)], ["now", el("span", {}, place, ` — as ${node} sees it`)],
    ["stale", story.stale_blocks.length ? story.stale_blocks.map((hash) => [blockLink(hash), " "]) : null]])];
  story.reorgs.forEach((line) => parts.push(el("p", { class: "card" }, line)));
  if (found) {
    const coin = (input) => input.coinbase ? ["coinbase: new coins", "", ""] : [el("span", {}, txLink(input.txid), `:${input.vout}`), addressLink(input.prevout?.scriptPubKey?.address), coins(input.prevout?.value)];
    parts.push(el("h3", {}, "Inputs"), table(["coin", "of", "worth"], found.vin.map(coin)),
      el("h3", {}, "Outputs"), table(["", "address", "amount"], found.vout.map((output) => [output.n, addressLink(output.scriptPubKey.address), coins(output.value)])));
    if (story.block) parts.push(...await merkle(state, story, txid));
    parts.push(el("h3", {}, `Its ${found.size} bytes`), transactionBytes(found.hex));
  }
  show("Transaction", ...parts);
}

function pager(address, what, at, total) {
  const to = (skip, text) => link(`address/${address}/${what}/${skip}`, text);
  if (total <= PAGE) return "";
  return el("p", { class: "pager" }, at > 0 ? to(Math.max(0, at - PAGE), "◀ newer") : "", ` ${at + 1} to ${Math.min(at + PAGE, total)} of ${total} `, at + PAGE < total ? to(at + PAGE, "older ▶") : "");
}

/// Balances differ by node while the network is apart: that is shown, not averaged.
async function balances(state, address) {
  const asked = await Promise.all(eyes(state).slice(0, 8).map(async (name) => [name, (await rpc(name, "tine_getaddress", [address, 1])).balance]));
  return new Set(asked.map(([, balance]) => balance)).size < 2 ? [] : [el("h3", {}, "The nodes do not agree"), table(["as seen by", "balance"], asked.map(([name, balance]) => [el("span", {}, badge(name), ` ${name}`), balance]))];
}

async function addressPage(state, address, what, skip) {
  const at = Number(skip) || 0, [atCoins, atMoves] = what === "coins" ? [at, 0] : [0, at];
  const [found, node] = await anyNode(state, "tine_getaddress", [address, PAGE, atMoves]);
  const [held, apart] = await Promise.all([rpc(node, "tine_getaddresscoins", [address, PAGE, atCoins]), balances(state, address)]);
  const row = (moved) => [txLink(moved.txid), moved.blockhash ? blockLink(moved.blockhash, String(moved.height)) : "mempool", Number(moved.received) ? `+${moved.received}` : "", Number(moved.spent) ? `−${moved.spent}` : ""];
  show("Address",
    keys([["address", el("code", {}, found.address)], ["balance", el("b", {}, found.balance)], ["received", found.received], ["spent", found.spent], ["as seen by", `${node}, at height ${found.height}`]]),
    apart,
    found.pending.length > 0 && [el("h3", {}, "On the way"), table(["transaction", "", "in", "out"], found.pending.map(row))],
    el("h3", {}, count(found.coins, "coin")), held.length ? table(["coin", "amount", "since", ""], held.map((coin) => [el("span", {}, txLink(coin.txid), `:${coin.vout}`), coin.amount, `block ${coin.height}${coin.coinbase ? ", a reward" : ""}`, coin.spent_by ? el("span", {}, "wanted by ", txLink(coin.spent_by)) : ""])) : el("p", {}, "None that is unspent."),
    pager(address, "coins", atCoins, found.coins),
    el("h3", {}, count(found.transactions, "transaction")), found.history.length ? table(["transaction", "block", "in", "out"], found.history.map(row)) : el("p", {}, "None on the active chain."),
    pager(address, "moves", atMoves, found.transactions));
}

const DECIDED = { refused: "came first, and the other did not pay more", replaced: "pays more", mined: "is in a block" };

/// Pairs that want the same coin, each once, with the nodes that let the loser go.
function collisions(lists) {
  const pairs = new Map();
  for (const [name, list] of lists) {
    for (const pair of list) {
      const key = `${pair.kept} ${pair.gone}`, known = pairs.get(key) ?? { ...pair, nodes: [] };
      if (!known.nodes.includes(name)) known.nodes.push(name);
      pairs.set(key, known);
    }
  }
  return [...pairs.values()].sort((a, b) => b.time - a.time).slice(0, 50);
}

async function mempool(state) {
  const names = running(state);
  const pools = await Promise.all(names.map(async (name) => [name, new Set(await rpc(name, "getrawmempool", [false]))]));
  const all = new Set(pools.flatMap(([, pool]) => [...pool]));
  // the whole of a pool only from those who know something that nobody before them did
  const entries = new Map();
  for (const [name, pool] of pools) {
    if ([...pool].some((txid) => !entries.has(txid))) for (const [txid, entry] of Object.entries(await rpc(name, "getrawmempool", [true]))) if (!entries.has(txid)) entries.set(txid, entry);
  }
  const pairs = collisions(await Promise.all(names.map(async (name) => [name, await rpc(name, "tine_listconflicts")])));
  const who = (list) => list.length === names.length && names.length > 1 ? "everybody" : el("span", {}, list.slice(0, 12).map((name) => [badge(name), " "]), list.length > 12 ? `and ${list.length - 12} more` : "");
  const apart = [...all].filter((txid) => pools.some(([, pool]) => !pool.has(txid)));
  const rows = [...all].filter((txid) => entries.has(txid)).sort((a, b) => entries.get(a).time - entries.get(b).time).slice(0, 200)
    .map((txid) => [txLink(txid), entries.get(txid).vsize, coins(entries.get(txid).fees.base), who(pools.filter(([, pool]) => pool.has(txid)).map(([name]) => name))]);
  show("Mempools", rows.length ? table(["transaction", "bytes", "fee", "known to"], rows) : el("p", {}, "Nothing waits to be mined."),
    all.size > 200 && el("p", {}, `and ${all.size - 200} more`),
    rows.length > 0 && el("p", {}, apart.length ? `The pools differ in ${count(apart.length, "transaction")}.` : "All pools hold the same."),
    pairs.length > 0 && [el("h3", {}, "Pairs that want the same coin"), table(["stays", "goes", "coin", "at"], pairs.map((pair) => [
      el("span", {}, txLink(pair.kept), ` ${DECIDED[pair.decision] ?? pair.decision}`), txLink(pair.gone), el("code", {}, typeof pair.coin === "string" ? `${pair.coin.slice(0, 10)}…${pair.coin.slice(pair.coin.indexOf(":"))}` : `${String(pair.coin.txid).slice(0, 10)}…:${pair.coin.vout}`), who(pair.nodes)]))]);
}

async function node(state, name) {
  const own = state.nodes.find((found) => found.name === name);
  if (!own) throw new Error(`no node is called ${name}`);
  if (!own.running) { show(name, el("p", {}, `${name} is stopped. Its last tip: `, blockLink(own.tip), ` at height ${own.height}. Started again, it goes on from its files and catches up.`)); return; }
  const [peers, wallets, why] = await Promise.all([rpc(name, "getpeerinfo"), rpc(name, "tine_walletlist").catch(() => []), rpc(name, "tine_explaintip")]);
  const reorgs = Array.from({ length: Math.min(own.reorgs, 10) }, (_, back) => own.reorgs - 1 - back);
  show(name,
    keys([["tip", blockLink(own.tip)], ["height", own.height], ["mempool", el("a", { href: "#/mempool" }, count(own.mempool, "transaction"))],
      ["reorganisations", own.reorgs ? el("span", {}, reorgs.map((number) => [link(`reorg/${encodeURIComponent(name)}/${number}`, String(number)), " "])) : 0]]),
    el("h3", {}, "Why this tip"), el("p", {}, `height ${why.height ?? own.height}, cumulative work ${shortWork(own.work)}; of equals the one seen first`),
    el("h3", {}, "Peers"), table(["peer", "way", "blocks", "ping"], peers.map((peer) => [link(`peer/${encodeURIComponent(name)}/${peer.id}`, peer.addr), peer.inbound ? "in" : "out", peer.synced_blocks, peer.pingtime ? `${(peer.pingtime * 1000).toFixed(1)} ms` : ""])),
    wallets.length > 0 && [el("h3", {}, "Wallets"), table(["", "confirmed", "pending", "immature"], wallets.map((wallet) => [wallet.name, wallet.balance.confirmed, wallet.balance.pending, wallet.balance.immature]))]);
}

/// Everything that a node knows of one of its peers; what the peer says of itself is text and nothing else.
async function peer(state, name, id) {
  const found = (await rpc(name, "getpeerinfo")).find((peer) => peer.id === Number(id));
  if (!found) throw new Error(`${name} has no peer ${id} any more`);
  const text = (value) => typeof value === "object" ? JSON.stringify(value) : String(value);
  show(`A peer of ${name}`, el("p", {}, "as ", nodeLink(name), " sees it"), keys(Object.entries(found).map(([key, value]) => [key.replaceAll("_", " "), text(value)])));
}

function start(state) {
  $("side-title").textContent = "What to try";
  $("side-close").hidden = true;
  const [first, ...rest] = state.nodes.map((found) => found.name);
  const latest = state.nodes.find((found) => found.reorgs > 0);
  const others = rest.length > 5 ? "the others" : rest.join(", ");
  $("side-view").replaceChildren(el("ol", {},
    el("li", {}, "Watch: a miner finds a block, dots carry it, the flags follow."),
    state.controls && rest.length > 0 && el("li", {}, `Split ${first} from ${others}; mine on both sides; two branches grow.`),
    state.controls && rest.length > 0 && el("li", {}, "Heal: the lighter side gives its blocks up. Its card says what became of each payment."),
    state.steered && rest.length > 0 && el("li", {}, "Stop a node, mine on, start it again: it catches up."),
    el("li", {}, "Click a block: its header, byte by byte. Click a transaction: its Merkle path. Click an address: its coins."),
    el("li", {}, "← and → step through what happened, space holds the moment, and space again goes back to the present.")),
    el("p", {}, el("a", { href: "#/mempool" }, "mempools"), latest ? [" · ", el("a", { href: `#/reorg/${encodeURIComponent(latest.name)}/${latest.reorgs - 1}` }, `last reorganisation of ${latest.name}`)] : ""));
}

let shownFor = 0;
/// Shows what the address says: #/block/…, #/tx/…, #/address/…, #/reorg/NODE/N, #/mempool, #/node/NAME, #/peer/NODE/ID.
export async function route(state, events) {
  const [what, first, second, third] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const own = ++shownFor;
  try {
    if (what === "block") await block(state, first);
    else if (what === "tx") await transaction(state, first);
    else if (what === "address") await addressPage(state, first, second, third);
    else if (what === "reorg") { const card = await reorg(first, second, events); if (own === shownFor) show(...card); }
    else if (what === "mempool") await mempool(state);
    else if (what === "node") await node(state, first);
    else if (what === "peer") await peer(state, first, second);
    else start(state);
  } catch (error) {
    if (own === shownFor) show("Not found", el("p", { class: "bad" }, error.message));
  }
  return what === "block" ? first : null;
}

/// Where a search leads: a height, a block, a transaction, an address, a node, or the first digits of a block on the page.
export async function search(state, text) {
  const query = text.trim(), lower = query.toLowerCase();
  const named = state.nodes.find((node) => node.name === query);
  if (named) return `#/node/${encodeURIComponent(named.name)}`;
  if (/^[a-z]{0,8}tine1/.test(lower)) { await anyNode(state, "tine_getaddress", [lower, 1]); return `#/address/${lower}`; }
  const tree = await fetchJson("/api/tree");
  if (/^\d{1,9}$/.test(query)) {
    const found = tree.blocks.find((found) => found.height === Number(query) && found.active);
    const [hash] = found ? [found.hash] : await anyNode(state, "getblockhash", [Number(query)]);
    return `#/block/${hash}`;
  }
  if (/^[0-9a-f]{4,63}$/.test(lower)) {
    const found = tree.blocks.find((found) => short(found.hash).startsWith(lower.slice(0, 6)) && found.hash.replace(/^0+/, "").startsWith(lower));
    if (found) return `#/block/${found.hash}`;
  }
  if (!/^[0-9a-f]{64}$/.test(lower)) throw new Error(`“${query.slice(0, 24)}” is no height, no id of 64 hexadecimal digits, no address and no node`);
  return anyNode(state, "getblockheader", [lower, true]).then(() => `#/block/${lower}`, () => `#/tx/${lower}`);
}
