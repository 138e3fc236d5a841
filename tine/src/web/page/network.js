// The network: nodes on a circle, links between them, blocks and payments as dots on their way.

import { $, badge, colour, el, letter, rpc, svg } from "./dom.js";

const SIZE = 300, RADIUS = 105, DOT_MS = 650;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let places = new Map(), marks = new Map(), layer = null, shape = null;

function circle(names) {
  return new Map(names.map((name, place) => {
    const angle = (2 * Math.PI * place) / names.length - Math.PI / 2;
    return [name, [SIZE * .75 + RADIUS * 1.55 * Math.cos(angle), SIZE / 2 + RADIUS * Math.sin(angle)]];
  }));
}

/// Pairs of nodes that are linked, or would be but for a cut.
function pairs(nodes) {
  const found = [], peers = new Map(nodes.map((node) => [node.name, new Set(node.peers)])), cut = new Map(nodes.map((node) => [node.name, new Set(node.cut)]));
  nodes.forEach((a, place) => nodes.slice(place + 1).forEach((b) => {
    const linked = a.running && b.running && (peers.get(a.name).has(b.name) || peers.get(b.name).has(a.name));
    if (linked || cut.get(a.name).has(b.name) || cut.get(b.name).has(a.name)) found.push([a.name, b.name, linked]);
  }));
  return found;
}

function drawLinks(found) {
  const line = (a, b) => { const [[x1, y1], [x2, y2]] = [places.get(a), places.get(b)]; return [x1, y1, x2, y2].map((value) => value.toFixed(1)); };
  if (found.length <= 200) return found.map(([a, b, linked]) => { const [x1, y1, x2, y2] = line(a, b); return svg("line", { class: `link${linked ? "" : " cut"}`, x1, y1, x2, y2, "data-link": `${a}-${b}` }); });
  // a thousand lines are two drawings
  return [true, false].map((linked) => svg("path", { class: `link many${linked ? "" : " cut"}`, d: found.filter((pair) => pair[2] === linked).map(([a, b]) => { const [x1, y1, x2, y2] = line(a, b); return `M${x1} ${y1}L${x2} ${y2}`; }).join("") }));
}

export function drawNetwork(nodes) {
  const found = pairs(nodes), names = nodes.map((node) => node.name);
  const wanted = names.join() + "|" + found.map(([a, b, linked]) => `${a}${linked ? "-" : "/"}${b}`).join();
  if (wanted !== shape) {
    shape = wanted;
    places = circle(names);
    const radius = Math.max(7, Math.min(22, 340 / nodes.length)), large = radius >= 16;
    marks = new Map(nodes.map((node) => {
      const [cx, cy] = places.get(node.name);
      const height = svg("text", { y: 13 }), title = svg("title");
      const group = svg("g", { class: "host", transform: `translate(${cx} ${cy})`, "data-node": node.name }, title,
        svg("circle", { r: radius, fill: colour(node.name), stroke: "var(--ink)" }),
        svg("g", { class: "flag" }, svg("text", { y: large ? 1 : 4, class: large ? "" : "small" }, letter(node.name)), large && height),
        large && svg("text", { y: radius + 15, "text-anchor": "middle" }, node.name));
      return [node.name, { group, height, title }];
    }));
    layer = svg("g", {});
    $("net-view").replaceChildren(svg("svg", { viewBox: `0 0 ${SIZE * 1.5} ${SIZE}`, width: "100%", role: "img", "aria-label": "network" }, drawLinks(found), layer, [...marks.values()].map((mark) => mark.group)));
  }
  for (const node of nodes) {
    const { group, height, title } = marks.get(node.name);
    group.classList.toggle("off", !node.running);
    height.textContent = node.running ? String(node.height) : "off";
    title.textContent = `${node.name}: ${node.running ? `height ${node.height}, ${node.connections} peers` : `stopped at height ${node.height}`}`;
  }
}

/// Sends a dot from one node to another.
export function sendDot(from, to, big) {
  const [start, end] = [places.get(from), places.get(to)];
  if (!start || !end || still.matches || document.hidden || layer.childElementCount > 120) return;
  const dot = svg("circle", { r: big ? 6 : 3, fill: colour(from), stroke: "var(--ink)", "stroke-width": .7 });
  layer.append(dot);
  const at = ([x, y]) => ({ transform: `translate(${x}px, ${y}px)` });
  const way = dot.animate([at(start), at(end)], { duration: DOT_MS, fill: "both" });
  way.finished.catch(() => {}).then(() => dot.remove());
}

export const rate = (hashes) => hashes >= 1e6 ? `${(hashes / 1e6).toFixed(1)} MH/s` : `${(hashes / 1e3).toFixed(1)} kH/s`;

function slider(node, tell) {
  const wanted = (event) => Number(event.target.value);
  return el("input", {
    type: "range", min: 0, max: node.miner.budget * 4, step: 1000, value: node.miner.mining ? node.miner.budget : 0, "aria-label": `hash rate of ${node.name}`,
    oninput: (event) => { event.target.title = rate(wanted(event)); },
    onchange: (event) => tell(`${node.name} mines with ${rate(wanted(event))}`, () => rpc(node.name, "tine_miner", wanted(event) === 0 ? { mining: false } : { mining: true, hashrate: `${wanted(event)}H/s` })),
  });
}

/// Another node that runs asks for it: nobody stops itself.
function power(name, states, tell) {
  return el("button", {
    type: "button", class: "power",
    onclick: async (event) => {
      const nodes = states(), button = event.target, running = nodes.find((node) => node.name === name)?.running;
      const other = nodes.find((node) => node.running && node.name !== name);
      button.disabled = true;
      await tell(`${running ? "stop" : "start"} ${name}`, () => {
        if (!other) throw new Error(`${name} is the last node that runs`);
        return rpc(other.name, running ? "tine_netstop" : "tine_netstart", { node: name });
      });
      button.disabled = false;
    },
  });
}

function facts(node) {
  if (!node.running) return `stopped at height ${node.height}`;
  const miner = node.miner ? `, ${node.miner.mining ? rate(node.miner.hashrate) : "not mining"}` : "";
  const line = [node.delay_ms ? `+${node.delay_ms} ms` : "", node.drop_percent ? `${node.drop_percent} % lost` : ""].filter(Boolean).join(", ");
  return `height ${node.height}, ${node.connections} peers, ${node.mempool} in mempool, ${node.reorgs} reorgs${miner}${node.syncing ? ", catching up" : ""}${line ? `, line ${line}` : ""}`;
}

/// The list of nodes with their figures; sliders are made once and kept, so that a hand on one is not disturbed.
export function drawNodes(states, tell) {
  const { nodes, controls, steered } = states();
  const list = $("nodes");
  for (const node of nodes) {
    let row = list.querySelector(`[data-node="${CSS.escape(node.name)}"]`);
    if (!row) {
      const means = el("span", { class: "means" }, controls && node.miner?.budget ? slider(node, tell) : "", controls && steered ? power(node.name, () => states().nodes, tell) : "");
      row = el("div", { class: "node", "data-node": node.name }, badge(node.name), el("a", { href: `#/node/${encodeURIComponent(node.name)}` }, node.name), means, el("span", { class: "facts" }));
      list.append(row);
    }
    row.classList.toggle("off", !node.running);
    const button = row.querySelector(".power");
    if (button) button.textContent = node.running ? "stop" : "start";
    const text = facts(node), shown = row.querySelector(".facts");
    if (shown.textContent !== text) shown.textContent = text;
  }
}
