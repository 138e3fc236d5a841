// The block tree: x is height, y is the lane that the node computed, the active chain lies on top. Only what is near the
// window is in the document, and what did not change stays there.

import { $, clock, colour, el, letter, short, svg } from "./dom.js";

const COLUMN = 82, LANE = 74, WIDTH = 60, HEIGHT = 40, TOP = 34, LEFT = 14;
/// Flags that fit on a block; more are counted.
const FLAGS = 4;
/// Columns beside the window that are drawn too, and how many columns are drawn whole.
const MARGIN = 30, SMALL = 200;

const x = (column) => LEFT + column * COLUMN;
const y = (lane) => TOP + lane * LANE;
let known = new Set(), drawn = new Map(), items = [], frame = null, asked = false, drawnWindow = [0, 0], spread = new Map();

function edge(from, to, active) {
  const [x1, y1, x2, y2] = [x(from.column) + WIDTH, y(from.lane) + HEIGHT / 2, x(to.column), y(to.lane) + HEIGHT / 2];
  const bend = Math.min(18, (x2 - x1) / 2);
  const path = y1 === y2 ? `M${x1} ${y1}H${x2}` : `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend - 4} ${y2} ${x2} ${y2}`;
  return svg("path", { class: `edge${active ? " active" : ""}`, d: path });
}

/// Notes when a node saw a block, for what is said of it.
export function noteSight(event) {
  const seen = spread.get(event.hash) ?? new Map();
  if (!seen.has(event.node)) seen.set(event.node, event.t);
  spread.set(event.hash, seen);
  if (spread.size > 3_000) spread.delete(spread.keys().next().value);
}
export const sights = (hash) => [...(spread.get(hash) ?? [])].sort((a, b) => a[1] - b[1]);

function describe(block) {
  const seen = sights(block.hash).map(([name, time]) => time <= block.first ? `${name} ${clock(time)}` : `${name} +${time - block.first} ms`);
  return `height ${block.height}\n${block.hash}\nmined by ${block.miner ?? "?"}, ${block.txs ?? "?"} transactions\nwork ${block.work}\nfirst seen ${clock(block.first)}${seen.length ? `\nseen: ${seen.slice(0, 12).join(", ")}${seen.length > 12 ? ` and ${seen.length - 12} more` : ""}` : ""}`;
}

function flag(name, place, gone) {
  return svg("g", { class: `flag${gone ? " gone" : ""}`, transform: `translate(${8 + place * 17} -10)`, "data-node": name },
    svg("title", {}, gone ? `${name}, which is stopped` : `${name}'s tip`),
    svg("circle", { r: 8.5, fill: gone ? "var(--line)" : colour(name), stroke: "var(--ink)" }), svg("text", { y: 4 }, letter(name)));
}

function drawBlock({ block, flags, gone, chosen, fresh }) {
  const open = () => { location.hash = `#/block/${block.hash}`; };
  const title = svg("title");
  const fit = flags.length > FLAGS ? flags.slice(0, FLAGS - 1) : flags;
  return svg("g", {
    class: `block ${block.status} ${block.active ? "active" : "stale"}${fresh ? " new" : ""}${chosen ? " chosen" : ""}`,
    transform: `translate(${x(block.column)} ${y(block.lane)})`,
    tabindex: 0, role: "link", "aria-label": `block ${block.height} ${short(block.hash)}`, "data-hash": block.hash, "data-lane": block.lane, "data-height": block.height,
    onclick: open, onkeydown: (event) => { if (event.key === "Enter") open(); },
    // told when somebody asks: who saw it when is still growing
    onpointerenter: () => { title.textContent = describe(block); },
  }, title,
    svg("rect", { width: WIDTH, height: HEIGHT, rx: 7, fill: block.status === "header-only" ? "none" : colour(block.miner) }),
    block.status === "invalid" && svg("path", { class: "cross", d: `M4 4L${WIDTH - 4} ${HEIGHT - 4}M${WIDTH - 4} 4L4 ${HEIGHT - 4}` }),
    svg("text", { x: 6, y: 16, "font-weight": 700 }, String(block.height)),
    svg("text", { x: WIDTH - 6, y: 16, "text-anchor": "end", class: "dim" }, block.txs ? `${block.txs} tx` : ""),
    svg("text", { x: 6, y: 32 }, short(block.hash)),
    svg("text", { x: WIDTH / 2, y: HEIGHT + 13, "text-anchor": "middle", class: "dim" }, flags.length || !block.active ? `w ${shortWork(block.work)}` : ""),
    fit.map((name, place) => flag(name, place, gone.has(name))),
    flags.length > fit.length && svg("text", { x: 8 + fit.length * 17 - 6, y: -6 }, svg("title", {}, flags.join(", ")), `+${flags.length - fit.length}`));
}

export const shortWork = (work) => `0x${work.replace(/^(0x)?0*/, "") || "0"}`;

function drawGap({ gap, before }) {
  return svg("g", { class: "gap" }, before && edge(before, { column: gap.column, lane: 0 }, true),
    svg("text", { x: x(gap.column) + WIDTH / 2, y: y(0) + HEIGHT / 2 + 4, "text-anchor": "middle", class: "dim" },
      svg("title", {}, `heights ${gap.from} to ${gap.to}: nothing but one block after the other`), `${gap.to - gap.from + 1} more`));
}

/// What is to be drawn, in the order of columns: each with a key, and with text that changes when it must be drawn anew.
function list(tree, shown, tips, { gone, chosen }) {
  const places = new Map(shown.map((block) => [block.hash, block]));
  const heights = new Map(shown.filter((block) => block.active).map((block) => [block.height, block]));
  const gaps = new Map(tree.gaps.map((gap) => [gap.to, gap]));
  const flags = new Map();
  for (const [name, hash] of Object.entries(tips)) flags.set(hash, [...(flags.get(hash) ?? []), name]);
  const all = shown.map((block) => {
    const parent = places.get(block.prev), gap = parent ? null : gaps.get(block.height - 1);
    const from = parent ?? (gap ? { column: gap.column, lane: 0, active: block.active } : null);
    const item = { key: block.hash, column: block.column, block, from, gone, flags: flags.get(block.hash) ?? [], chosen: block.hash === chosen, fresh: known.size > 0 && !known.has(block.hash) };
    item.text = [block.column, block.lane, block.status, block.active, block.miner, block.txs, item.flags.map((name) => (gone.has(name) ? `-${name}` : name)), item.chosen, from?.column, from?.lane].join();
    return item;
  });
  for (const gap of tree.gaps) {
    const before = heights.get(gap.from - 1);
    all.push({ key: `gap ${gap.column}`, column: gap.column, gap, before, text: [gap.from, gap.to, before?.column].join() });
  }
  return all.sort((a, b) => a.column - b.column);
}

function firstAt(column) {
  let [low, high] = [0, items.length];
  while (low < high) { const middle = (low + high) >> 1; if (items[middle].column < column) low = middle + 1; else high = middle; }
  return low;
}

function visible(columns) {
  const view = $("tree-view");
  const from = Math.floor(view.scrollLeft / COLUMN) - MARGIN, to = Math.ceil((view.scrollLeft + view.clientWidth) / COLUMN) + MARGIN;
  return columns <= SMALL ? [0, columns] : [Math.max(0, from), Math.min(columns, to)];
}

/// Puts what is near the window into the document, takes the rest out.
function paint(columns) {
  const [from, to] = visible(columns);
  drawnWindow = [from, to];
  const wanted = new Map();
  for (let place = firstAt(from); place < items.length && items[place].column <= to; place++) wanted.set(items[place].key, items[place]);
  for (const [key, { parts }] of drawn) if (!wanted.has(key)) { parts.forEach((part) => part.remove()); drawn.delete(key); }
  for (const [key, item] of wanted) {
    const old = drawn.get(key);
    if (old?.text === item.text) continue;
    old?.parts.forEach((part) => part.remove());
    const parts = item.gap ? [drawGap(item)] : [drawBlock(item)];
    frame.blocks.append(parts[0]);
    if (item.from) { parts.push(edge(item.from, item.block, item.from.active && item.block.active)); frame.edges.append(parts[1]); }
    drawn.set(key, { text: item.text, parts });
    item.fresh = false;
  }
}

function onScroll() {
  if (asked || !frame) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const [from, to] = visible(frame.columns), slack = MARGIN / 2;
    if (from < drawnWindow[0] - slack || to > drawnWindow[1] + slack || (from === 0 && drawnWindow[0] > 0) || (to === frame.columns && drawnWindow[1] < to)) paint(frame.columns);
  });
}

/// Draws the tree, or what was known of it at the time `at`. `gone`: nodes that are stopped.
export function drawTree(tree, { at, tipsAt, chosen, gone }) {
  const view = $("tree-view");
  if (!frame) {
    frame = { edges: svg("g", {}), blocks: svg("g", {}) };
    frame.svg = svg("svg", { role: "img", "aria-label": "block tree" }, frame.edges, frame.blocks);
    view.replaceChildren(frame.svg);
    view.addEventListener("scroll", onScroll, { passive: true });
  }
  const shown = at === null ? tree.blocks : tree.blocks.filter((block) => block.first <= at);
  items = list(tree, shown, at === null ? tree.tips : tipsAt, { gone, chosen });
  frame.columns = tree.columns;
  const [width, height] = [x(tree.columns) + 10, y(Math.max(tree.lanes, 1)) + 6];
  if (frame.svg.getAttribute("width") !== String(width)) frame.svg.setAttribute("width", width);
  if (frame.svg.getAttribute("height") !== String(height)) frame.svg.setAttribute("height", height);
  if ($("follow").checked) {
    // a camera that was asked to follow: the tips, also those of the past
    const tips = items.filter((item) => item.flags?.length).map((item) => item.column);
    const right = at === null ? width : x(Math.max(0, ...tips) + 1) + COLUMN;
    const left = Math.max(0, right - view.clientWidth);
    if (Math.abs(view.scrollLeft - left) > 1) view.scrollLeft = left;
  }
  paint(tree.columns);
  known = new Set(tree.blocks.map((block) => block.hash));
}

export function drawLegend(names) {
  const svgBlock = (status, active) => svg("svg", { width: 30, height: 22, class: "sample" },
    svg("g", { class: `block ${status} ${active ? "active" : ""}` }, svg("rect", { x: 2, y: 2, width: 26, height: 18, rx: 4, fill: status === "header-only" ? "none" : "#bbb" }),
      status === "invalid" && svg("path", { class: "cross", d: "M4 4L26 18M26 4L4 18" })));
  const sample = (status, active, text) => el("span", {}, svgBlock(status, active), ` ${text} `);
  $("legend").replaceChildren(el("summary", {}, "legend"),
    el("p", {}, "Height goes to the right; a branch leaves the active chain downwards. Fill: who mined it. Flags: whose tip it is, grey when that node is stopped. w: cumulative work — the heaviest branch wins, not the longest."),
    el("p", {}, sample("valid", true, "active"), sample("valid", false, "was active"), sample("stored", false, "stored, not checked in full"), sample("header-only", false, "header only"), sample("invalid", false, "invalid")),
    el("p", { class: "who" }, names.map((name) => { const mark = el("span", { class: "node-letter" }, letter(name)); mark.style.setProperty("background", colour(name)); return el("span", {}, mark, ` ${name} `); })));
}
