// The network: nodes on a circle, links between them, blocks and payments as dots on their way.

import { $, badge, colour, el, letter, rpc, svg } from "./dom.js";

const SIZE = 300, RADIUS = 105, DOT_MS = 650;
const still = matchMedia("(prefers-reduced-motion: reduce)");
let places = new Map(), layer = null;

function circle(names) {
  return new Map(names.map((name, place) => {
    const angle = (2 * Math.PI * place) / names.length - Math.PI / 2;
    return [name, [SIZE * .75 + RADIUS * 1.55 * Math.cos(angle), SIZE / 2 + RADIUS * Math.sin(angle)]];
  }));
}

export function drawNetwork(nodes) {
  places = circle(nodes.map((node) => node.name));
  const lines = [];
  nodes.forEach((a, place) => nodes.slice(place + 1).forEach((b) => {
    const linked = a.peers?.includes(b.name) || b.peers?.includes(a.name);
    const cut = a.cut?.includes(b.name) || b.cut?.includes(a.name);
    if (!linked && !cut) return;
    const [[x1, y1], [x2, y2]] = [places.get(a.name), places.get(b.name)];
    lines.push(svg("line", { class: `link${linked ? "" : " cut"}`, x1, y1, x2, y2, "data-link": `${a.name}-${b.name}` }));
  }));
  const circles = nodes.map((node) => {
    const [cx, cy] = places.get(node.name);
    return svg("g", { transform: `translate(${cx} ${cy})` },
      svg("circle", { r: 22, fill: colour(node.name), stroke: "var(--ink)" }),
      svg("g", { class: "flag" }, svg("text", { y: 1 }, letter(node.name)), svg("text", { y: 13 }, String(node.height))),
      svg("text", { y: 37, "text-anchor": "middle" }, node.name));
  });
  layer = svg("g", {});
  $("net-view").replaceChildren(svg("svg", { viewBox: `0 0 ${SIZE * 1.5} ${SIZE}`, width: "100%", role: "img", "aria-label": "network" }, lines, layer, circles));
}

/// Sends a dot from one node to another.
export function sendDot(from, to, big) {
  const [start, end] = [places.get(from), places.get(to)];
  if (!start || !end || still.matches || document.hidden || layer.childElementCount > 200) return;
  const dot = svg("circle", { r: big ? 6 : 3, fill: colour(from), stroke: "var(--ink)", "stroke-width": .7 });
  layer.append(dot);
  const began = performance.now();
  const step = (now) => {
    const part = Math.min(1, (now - began) / DOT_MS);
    dot.setAttribute("cx", start[0] + (end[0] - start[0]) * part);
    dot.setAttribute("cy", start[1] + (end[1] - start[1]) * part);
    if (part < 1) requestAnimationFrame(step); else dot.remove();
  };
  requestAnimationFrame(step);
}

const rate = (hashes) => hashes >= 1e6 ? `${(hashes / 1e6).toFixed(1)} MH/s` : `${(hashes / 1e3).toFixed(1)} kH/s`;

/// The list of nodes with their figures; sliders are made once and kept, so that a hand on one is not disturbed.
export function drawNodes(nodes, controls, tell) {
  const list = $("nodes");
  for (const node of nodes) {
    let row = list.querySelector(`[data-node="${CSS.escape(node.name)}"]`);
    if (!row) {
      const slider = controls && node.miner?.budget ? el("input", {
        type: "range", min: 0, max: node.miner.budget * 4, step: 1000, value: node.miner.mining ? node.miner.budget : 0, "aria-label": `hash rate of ${node.name}`,
        onchange: async (event) => {
          const wanted = Number(event.target.value);
          await tell(`${node.name} mines with ${rate(wanted)}`, () => rpc(node.name, "tine_miner", wanted === 0 ? { mining: false } : { mining: true, hashrate: `${wanted}H/s` }));
        },
      }) : null;
      row = el("div", { class: "node", "data-node": node.name }, badge(node.name), el("a", { href: `#/node/${node.name}` }, node.name), slider ?? "", el("span", { class: "facts" }));
      list.append(row);
    }
    const miner = node.miner ? `, ${node.miner.mining ? rate(node.miner.hashrate) : "not mining"}` : "";
    const line = [node.delay_ms ? `+${node.delay_ms} ms` : "", node.drop_percent ? `${node.drop_percent} % lost` : ""].filter(Boolean).join(", ");
    row.querySelector(".facts").textContent = `height ${node.height}, ${node.connections} peers, ${node.mempool} in mempool, ${node.reorgs} reorgs${miner}${node.syncing ? ", catching up" : ""}${line ? `, line ${line}` : ""}`;
  }
}
