// The timeline: a lane for each node, when it first saw each block, arrows from who sent it, cuts as bands.

import { $, clock, colour, letter, short, svg } from "./dom.js";

const LANE = 30, LEFT = 84, RIGHT = 14;

/// Spans of time in which a node was cut off from another.
function bands(events, name, from, to) {
  const spans = [];
  let since = null;
  for (const event of events) {
    if (event.kind !== "links" || event.node !== name) continue;
    if (event.cut.length && since === null) since = event.t;
    if (!event.cut.length && since !== null) { spans.push([since, event.t]); since = null; }
  }
  if (since !== null) spans.push([since, to]);
  return spans.filter(([, end]) => end >= from).map(([start, end]) => [Math.max(start, from), end]);
}

export function drawTimeline(names, events, miners, { from, to, at }) {
  const view = $("time-view");
  const width = Math.max(view.clientWidth, 320), height = names.length * LANE + 24;
  const x = (t) => LEFT + ((t - from) / (to - from)) * (width - LEFT - RIGHT);
  const y = (name) => 14 + names.indexOf(name) * LANE;
  const parts = [];
  for (const name of names) {
    parts.push(svg("line", { class: "lane", x1: LEFT, x2: width - RIGHT, y1: y(name), y2: y(name) }),
      svg("text", { x: 6, y: y(name) + 4 }, `${letter(name)} ${name}`));
    for (const [start, end] of bands(events, name, from, to)) {
      parts.push(svg("rect", { class: "band", x: x(start), width: Math.max(2, x(end) - x(start)), y: y(name) - LANE / 2, height: LANE }));
    }
  }
  const first = new Map();
  for (const event of events) {
    if (event.kind === "block" && !first.has(event.hash)) first.set(event.hash, event);
  }
  const visible = events.filter((event) => event.t >= from && event.t <= to && names.includes(event.node));
  for (const event of visible) {
    const [cx, cy] = [x(event.t), y(event.node)];
    if (event.kind === "block") {
      const source = first.get(event.hash);
      if (event.from && source && source.node !== event.node && source.t >= from) parts.push(svg("line", { class: "carry", x1: x(source.t), y1: y(source.node), x2: cx, y2: cy }));
      parts.push(svg("a", { href: `#/block/${event.hash}` }, svg("rect", { x: cx - 4, y: cy - 6, width: 8, height: 12, rx: 2, fill: colour(miners.get(event.hash)), stroke: "var(--ink)", "stroke-width": source === event ? 1.6 : .6 },
        svg("title", {}, `${event.height} ${short(event.hash)} seen by ${event.node} at ${clock(event.t)}`))));
    } else if (event.kind === "reorg") {
      parts.push(svg("a", { href: `#/reorg/${event.node}/${event.number}` }, svg("path", { d: `M${cx} ${cy - 11}l7 -3v10z`, fill: "var(--bad)" }, svg("title", {}, `reorganisation of ${event.node}`))));
    } else if (event.kind === "double-spend") {
      parts.push(svg("text", { x: cx, y: cy + 4, fill: "var(--bad)" }, "⚡"));
    }
  }
  for (const event of events) {
    if (event.kind !== "step" || event.t < from || event.t > to) continue;
    parts.push(svg("line", { class: "step", x1: x(event.t), x2: x(event.t), y1: 0, y2: height - 16 }, svg("title", {}, `${clock(event.t)} ${event.node ?? ""} ${event.text}`)));
  }
  if (at !== null) parts.push(svg("line", { class: "scrub", x1: x(at), x2: x(at), y1: 0, y2: height - 16 }));
  const ticks = width < 560 ? 2 : 4;
  for (let part = 0; part <= ticks; part++) {
    const t = from + ((to - from) * part) / ticks;
    parts.push(svg("text", { class: "dim", x: x(t), y: height - 3, "text-anchor": part === 0 ? "start" : part === ticks ? "end" : "middle" }, clock(t)));
  }
  view.replaceChildren(svg("svg", { width, height, role: "img", "aria-label": "timeline" }, parts));
}
