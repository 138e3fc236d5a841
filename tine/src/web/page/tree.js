// The block tree: x is height, y is the lane that the node computed, the active chain lies on top.

import { $, clock, colour, el, letter, short, svg } from "./dom.js";

const COLUMN = 82, LANE = 74, WIDTH = 60, HEIGHT = 40, TOP = 34, LEFT = 14;
const known = new Set();

const x = (column) => LEFT + column * COLUMN;
const y = (lane) => TOP + lane * LANE;

function edge(from, to, active) {
  const [x1, y1, x2, y2] = [x(from.column) + WIDTH, y(from.lane) + HEIGHT / 2, x(to.column), y(to.lane) + HEIGHT / 2];
  const bend = Math.min(18, (x2 - x1) / 2);
  const path = y1 === y2 ? `M${x1} ${y1}H${x2}` : `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend - 4} ${y2} ${x2} ${y2}`;
  return svg("path", { class: `edge${active ? " active" : ""}`, d: path });
}

function describe(block) {
  const first = Math.min(...Object.values(block.seen));
  const seen = Object.entries(block.seen).sort((a, b) => a[1] - b[1])
    .map(([name, time]) => `${name} ${time === first ? clock(first) : `+${time - first} ms`}`);
  return `height ${block.height}\n${block.hash}\nmined by ${block.miner ?? "?"}, ${block.txs ?? "?"} transactions\nwork ${block.work}\nseen: ${seen.join(", ")}`;
}

function drawBlock(block, flags, chosen) {
  const open = () => { location.hash = `#/block/${block.hash}`; };
  const group = svg("g", {
    class: `block ${block.status} ${block.active ? "active" : "stale"}${known.has(block.hash) || known.size === 0 ? "" : " new"}${block.hash === chosen ? " chosen" : ""}`,
    transform: `translate(${x(block.column)} ${y(block.lane)})`,
    tabindex: 0, role: "link", "aria-label": `block ${block.height} ${short(block.hash)}`, "data-hash": block.hash, "data-lane": block.lane,
    onclick: open, onkeydown: (event) => { if (event.key === "Enter") open(); },
  },
    svg("title", {}, describe(block)),
    svg("rect", { width: WIDTH, height: HEIGHT, rx: 7, fill: block.status === "header-only" ? "none" : colour(block.miner) }),
    block.status === "invalid" && svg("path", { class: "cross", d: `M4 4L${WIDTH - 4} ${HEIGHT - 4}M${WIDTH - 4} 4L4 ${HEIGHT - 4}` }),
    svg("text", { x: 6, y: 16, "font-weight": 700 }, String(block.height)),
    svg("text", { x: WIDTH - 6, y: 16, "text-anchor": "end", class: "dim" }, block.txs ? `${block.txs} tx` : ""),
    svg("text", { x: 6, y: 32 }, short(block.hash)),
    svg("text", { x: WIDTH / 2, y: HEIGHT + 13, "text-anchor": "middle", class: "dim" }, flags.length || !block.active ? `w ${shortWork(block.work)}` : ""),
    flags.map((name, place) => svg("g", { class: "flag", transform: `translate(${8 + place * 17} -10)`, "data-node": name },
      svg("circle", { r: 8.5, fill: colour(name), stroke: "var(--ink)" }), svg("text", { y: 4 }, letter(name)))));
  return group;
}

const shortWork = (work) => `0x${work.replace(/^(0x)?0*/, "") || "0"}`;

/// Draws the tree, or what was known of it at the time `at`.
export function drawTree(tree, { at, tipsAt, chosen }) {
  const view = $("tree-view");
  const shown = at === null ? tree.blocks : tree.blocks.filter((block) => Math.min(...Object.values(block.seen)) <= at);
  const places = new Map(shown.map((block) => [block.hash, block]));
  const tips = at === null ? tree.tips : tipsAt;
  const flags = new Map();
  for (const [name, hash] of Object.entries(tips)) flags.set(hash, [...(flags.get(hash) ?? []), name]);
  const edges = [], blocks = [];
  for (const block of shown) {
    const parent = places.get(block.prev);
    const gap = parent ? null : tree.gaps.find((gap) => gap.to === block.height - 1);
    if (parent) edges.push(edge(parent, block, parent.active && block.active));
    else if (gap) edges.push(edge({ column: gap.column, lane: 0 }, block, block.active));
    blocks.push(drawBlock(block, flags.get(block.hash) ?? [], chosen));
  }
  const gaps = tree.gaps.map((gap) => {
    const before = shown.find((block) => block.active && block.height === gap.from - 1);
    return [before && edge(before, { column: gap.column, lane: 0 }, true),
      svg("text", { x: x(gap.column) + WIDTH / 2, y: y(0) + HEIGHT / 2 + 4, "text-anchor": "middle", class: "dim" }, `${gap.to - gap.from + 1} more`)];
  });
  const drawing = svg("svg", { width: x(tree.columns) + 10, height: y(Math.max(tree.lanes, 1)) + 6, role: "img", "aria-label": "block tree" }, edges, gaps, blocks);
  const where = view.scrollLeft;
  view.replaceChildren(drawing);
  tree.blocks.forEach((block) => known.add(block.hash));
  view.scrollLeft = $("follow").checked ? view.scrollWidth : where;
}

export function drawLegend(names) {
  const sample = (status, active, text) => el("span", {}, svgBlock(status, active), ` ${text} `);
  const svgBlock = (status, active) => svg("svg", { width: 30, height: 22, class: "sample" },
    svg("g", { class: `block ${status} ${active ? "active" : ""}` }, svg("rect", { x: 2, y: 2, width: 26, height: 18, rx: 4, fill: status === "header-only" ? "none" : "#bbb" }),
      status === "invalid" && svg("path", { class: "cross", d: "M4 4L26 18M26 4L4 18" })));
  $("legend").replaceChildren(el("summary", {}, "legend"),
    el("p", {}, "Height goes to the right; a branch leaves the active chain downwards. Fill: who mined it. Flags: whose tip it is. w: cumulative work — the heaviest branch wins, not the longest."),
    el("p", {}, sample("valid", true, "active"), sample("valid", false, "was active"), sample("stored", false, "stored, not checked in full"), sample("header-only", false, "header only"), sample("invalid", false, "invalid")),
    el("p", {}, names.map((name) => { const mark = el("span", { class: "node-letter" }, letter(name)); mark.style.setProperty("background", colour(name)); return [mark, ` ${name} `]; })));
}
