// The reorganisation card: branches, work, blocks out and in, every transaction's fate, who switched when.

import { badge, blockLink, clock, count, el, rpc, table, txLink } from "./dom.js";

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

/// The card of a node's reorganisation, and who switched when.
export async function reorg(name, number, events) {
  const reports = await rpc(name, "tine_reorgs");
  const report = reports.find((found) => found.number === Number(number));
  if (!report) throw new Error(`${name} has no reorganisation ${number}`);
  const tip = report.connected[report.connected.length - 1].hash;
  const adopted = events.filter((event) => event.kind === "tip" && event.hash === tip).map((event) => [event.node, event.t]);
  const first = Math.min(...adopted.map(([, t]) => t));
  const card = reorgCard(name, report, adopted.map(([node, t]) => [node, t - first]));
  const save = el("button", { type: "button", onclick: () => saveCard(card, name, number) }, "save as one HTML file");
  return [`Reorganisation ${number} of ${name}`, card, el("p", {}, save)];
}

/// The card as a page that needs nothing else. Built as a document, so that no text in it becomes markup.
export async function cardPage(card, title) {
  const page = document.implementation.createHTMLDocument(title);
  const copy = page.importNode(card, true);
  copy.querySelectorAll("a").forEach((a) => { const code = page.createElement("code"); code.textContent = a.textContent; a.replaceWith(code); });
  const meta = (attributes) => { const made = page.createElement("meta"); for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value); page.head.prepend(made); };
  meta({ name: "viewport", content: "width=device-width" });
  meta({ charset: "utf-8" });
  const style = page.createElement("style"), heading = page.createElement("h1");
  style.textContent = `${await (await fetch("/style.css")).text()}body{padding:1rem;max-width:60rem}`;
  heading.textContent = title;
  page.head.append(style);
  page.body.append(heading, copy);
  return `<!doctype html>${page.documentElement.outerHTML}`;
}

async function saveCard(card, name, number) {
  const page = new Blob([await cardPage(card, `Reorganisation ${number} of ${name}`)], { type: "text/html" });
  const a = el("a", { href: URL.createObjectURL(page), download: `reorg-${name}-${number}.html` });
  a.click();
  URL.revokeObjectURL(a.href);
}
