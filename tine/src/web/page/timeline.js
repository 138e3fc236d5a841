// The timeline: a lane for each node, when it first saw each block, arrows from who sent it, cuts and stops as bands.
// While time goes on the drawing is pushed to the left and what is new is added to it; only another view draws it anew.

import { $, clock, colour, letter, short, svg } from "./dom.js";

const LEFT = 84, RIGHT = 14, TOP = 14;
/// First sights drawn one by one; of more, those that lie on each other are left out.
const MANY = 3_000;

/// Of each node: spans in which it was cut off, or stopped: `{ kind, start, end }`, `end` null while it lasts.
let spans = new Map();
/// Who saw a block first, by its id.
let first = new Map();
let view = null;

/// Learns from an event, in order.
export function learn(event) {
  if (event.kind === "block") { if (!first.has(event.hash)) first.set(event.hash, event); return; }
  const mark = (kind, lasts) => {
    const list = spans.get(event.node) ?? [];
    const open = list.find((span) => span.kind === kind && span.end === null);
    if (lasts && !open) list.push({ kind, start: event.t, end: null });
    if (!lasts && open) open.end = event.t;
    spans.set(event.node, list.slice(-200));
  };
  if (event.kind === "links") mark("cut", event.cut.length > 0);
  else if (event.kind === "stopped") mark("gone", true);
  else if (event.kind === "started") mark("gone", false);
}
/// Forgets an event that is no longer kept.
export function unlearn(event) { if (first.get(event.hash) === event) first.delete(event.hash); }
export function unlearnAll() { spans = new Map(); first = new Map(); view = null; }
export const firstSight = (hash) => first.get(hash);
export const goneAt = (name, time) => (spans.get(name) ?? []).some((span) => span.kind === "gone" && span.start <= time && (span.end === null || span.end > time));

/// Who mined it: whoever had it first and from nobody.
const minerOf = (source) => source && !source.from ? source.node : null;

function marks(event, base) {
  const [cx, cy] = [base.x(event.t), base.y(event.node)];
  if (event.kind === "block") {
    const source = first.get(event.hash), own = source === event, parts = [];
    if (event.from && source && !own) parts.push(svg("line", { class: "carry", x1: base.x(source.t), y1: base.y(source.node), x2: cx, y2: cy }));
    const half = base.lane < 20 ? 4 : 6;
    parts.push(svg("a", { href: `#/block/${event.hash}` }, svg("rect", { x: cx - 4, y: cy - half, width: 8, height: 2 * half, rx: 2, fill: colour(minerOf(source)), stroke: "var(--ink)", "stroke-width": own ? 1.6 : .6 },
      svg("title", {}, `${event.height} ${short(event.hash)} seen by ${event.node} at ${clock(event.t)}`))));
    return parts;
  }
  if (event.kind === "reorg") return [svg("a", { href: `#/reorg/${encodeURIComponent(event.node)}/${event.number}` }, svg("path", { d: `M${cx} ${cy - 11}l7 -3v10z`, fill: "var(--bad)" }, svg("title", {}, `reorganisation of ${event.node}`)))];
  if (event.kind === "double-spend") return [svg("text", { x: cx, y: cy + 4, fill: "var(--bad)" }, "⚡", svg("title", {}, `${event.node} was offered a second spend of ${event.coin}`))];
  if (event.kind === "step") return [svg("line", { class: "step", x1: cx, x2: cx, y1: 0, y2: base.height - 16 }, svg("title", {}, `${clock(event.t)} ${event.node ?? ""} ${event.text}`))];
  return [];
}
const isMark = (event) => ["block", "reorg", "double-spend", "step"].includes(event.kind);

/// Of many sights in a lane only those that stand apart; first sights always.
function thinned(events, base) {
  if (events.length <= MANY) return events;
  const apart = (base.width * base.names.size) / MANY, last = new Map();
  return events.filter((event) => {
    if (event.kind !== "block" || first.get(event.hash) === event) return true;
    const at = base.x(event.t);
    if (at - (last.get(event.node) ?? -Infinity) < apart) return false;
    last.set(event.node, at);
    return true;
  });
}

function append(event) {
  const parts = marks(event, view);
  if (!parts.length) return;
  view.moving.append(...parts);
  view.drawn.push({ t: event.t, parts });
}

function drawBands(to) {
  const parts = [];
  for (const [name, list] of spans) {
    if (!view.names.has(name)) continue;
    for (const { kind, start, end } of list) {
      const until = end ?? to;
      if (until < view.from || start > to) continue;
      const left = view.x(Math.max(start, view.from));
      parts.push(svg("rect", { class: kind === "gone" ? "gone" : "band", x: left, width: Math.max(2, view.x(until) - left), y: view.y(name) - view.lane / 2, height: view.lane },
        svg("title", {}, `${name} ${kind === "gone" ? "is stopped" : "is cut off"}`)));
    }
  }
  view.bands.replaceChildren(...parts);
}

/// Moves the drawing so that it ends at `to`.
function push(to) {
  view.from = to - view.span;
  const shift = view.x(view.from) - LEFT;
  view.moving.setAttribute("transform", `translate(${-shift} 0)`);
  view.bands.setAttribute("transform", `translate(${-shift} 0)`);
  while (view.drawn.length && view.drawn[0].t < view.from) view.drawn.shift().parts.forEach((part) => part.remove());
  drawBands(to);
  view.ticks.forEach((tick, part) => { tick.textContent = clock(view.from + (view.span * part) / (view.ticks.length - 1)); });
}

function begin(names, events, { from, to }) {
  const place = $("time-view");
  const lane = names.length > 12 ? 14 : 30;
  const width = Math.max(place.clientWidth, 320), height = names.length * lane + 24, span = to - from;
  const scale = (width - LEFT - RIGHT) / span;
  view = { names: new Map(names.map((name, at) => [name, at])), key: [names.join(), width, span].join(), lane, width, height, span, from, drawn: [], last: 0 };
  view.x = (t) => LEFT + (t - from) * scale;
  view.y = (name) => TOP + (view.names.get(name) ?? 0) * lane;
  view.bands = svg("g", {});
  view.moving = svg("g", {});
  view.scrub = svg("line", { class: "scrub", y1: 0, y2: height - 16, visibility: "hidden" });
  const ticks = width < 560 ? 2 : 4;
  view.ticks = Array.from({ length: ticks + 1 }, (_, part) => svg("text", { class: "dim", x: LEFT + (part * (width - LEFT - RIGHT)) / ticks, y: height - 3, "text-anchor": part === 0 ? "start" : part === ticks ? "end" : "middle" }));
  const lanes = names.map((name) => [svg("line", { class: "lane", x1: LEFT, x2: width - RIGHT, y1: view.y(name), y2: view.y(name) }),
    svg("text", { x: 6, y: view.y(name) + 4 }, svg("title", {}, name), `${letter(name)} ${name.slice(0, 9)}`)]);
  const clip = svg("clipPath", { id: "lanes" }, svg("rect", { x: LEFT - 5, y: 0, width: width - LEFT - RIGHT + 10, height }));
  const visible = events.filter((event) => event.t >= from && event.t <= to && isMark(event) && (event.kind === "step" || view.names.has(event.node)));
  thinned(visible, view).forEach(append);
  view.last = events.length ? events[events.length - 1].id : 0;
  place.replaceChildren(svg("svg", { width, height, role: "img", "aria-label": "timeline" }, clip, lanes, svg("g", { "clip-path": "url(#lanes)" }, view.bands, view.moving), view.ticks, view.scrub));
}

/// Draws what lies between `from` and `to`; `at`: the moment that is looked at.
export function drawTimeline(names, events, { from, to, at }) {
  const width = Math.max($("time-view").clientWidth, 320);
  // after an hour of pushing the numbers would get large
  if (!view || view.key !== [names.join(), width, to - from].join() || view.x(from) - LEFT > 20 * width) begin(names, events, { from, to });
  for (let place = events.length - 1, fresh = []; place >= -1; place--) {
    const event = events[place];
    if (event && event.id > view.last) { if (isMark(event) && event.t >= from) fresh.push(event); continue; }
    fresh.reverse().forEach(append);
    break;
  }
  if (events.length) view.last = Math.max(view.last, events[events.length - 1].id);
  push(to);
  const shown = at !== null && at >= from;
  view.scrub.setAttribute("visibility", shown ? "visible" : "hidden");
  if (shown) for (const end of ["x1", "x2"]) view.scrub.setAttribute(end, view.x(at) - (view.x(from) - LEFT));
}
