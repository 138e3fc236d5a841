// Bytes taken apart: a header, a transaction, a Merkle path. Computed here, so that a reader can check the node's word.

import { clock, el, svg } from "./dom.js";

const FIELDS = [["version", 4], ["previous block", 32], ["Merkle root", 32], ["time", 4], ["bits", 4], ["nonce", 4]];
const TINTS = ["#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#999999"];
/// Fields of a transaction that are shown one by one; the rest is one.
const MOST = 400;

/// Bytes as spans, one for each `{ name, hex, says, tint }`, and what each means below.
function annotated(parts) {
  let place = 0;
  const tinted = (tag, part, ...children) => { const made = el(tag, {}, children); made.style.setProperty("--c", TINTS[part.tint % TINTS.length]); return made; };
  const bytes = parts.map((part) => {
    const length = part.hex.length / 2, made = tinted("span", part, part.hex);
    made.title = `${part.name}${part.says ? `: ${part.says}` : ""}\nbyte${length === 1 ? ` ${place}` : `s ${place} to ${place + length - 1}`}`;
    place += length;
    return [made, " "];
  });
  const names = [...new Map(parts.map((part) => [part.tint, part])).values()];
  return el("div", { class: "bytes" }, bytes, el("div", {}, names.map((part) => [tinted("span", part, part.kind ?? part.name), " "])));
}

/// The 80 bytes of a header, field by field.
export function headerBytes(hex) {
  let place = 0;
  return annotated(FIELDS.map(([name, length], tint) => {
    const part = { name, tint, hex: hex.slice(2 * place, 2 * (place + length)), says: length === 4 ? (name === "time" ? clock(1000 * little(hex, place, 4)) : `${little(hex, place, 4)}, little-endian`) : "back to front" };
    place += length;
    return part;
  }));
}

const little = (hex, place, length) => { let value = 0; for (let i = length - 1; i >= 0; i--) value = value * 256 + parseInt(hex.substr(2 * (place + i), 2), 16); return value; };
const units = (hex, place) => { let value = 0n; for (let i = 7; i >= 0; i--) value = value * 256n + BigInt(parseInt(hex.substr(2 * (place + i), 2), 16)); return `${value / 100000000n}.${String(value % 100000000n).padStart(8, "0")}`; };

/// A transaction, field by field: version, inputs, outputs, lock_time, and a witness for each input. As in chain/SPEC.md.
export function transactionBytes(hex) {
  const parts = [], total = hex.length / 2;
  let place = 0;
  const take = (name, kind, length, tint, says) => {
    if (place + length > total) throw new Error("the bytes end too early");
    parts.push({ name, kind, tint, says: says?.(), hex: hex.substr(2 * place, 2 * length) });
    place += length;
  };
  const size = (name, kind, tint) => {
    const head = little(hex, place, 1), length = head < 253 ? 1 : head === 253 ? 3 : head === 254 ? 5 : 9;
    const value = length === 1 ? head : little(hex, place + 1, length - 1);
    take(name, kind, length, tint, () => String(value));
    return value;
  };
  const number = (length) => () => String(little(hex, place, length));
  take("version", "version", 4, 0, number(4));
  const inputs = size("how many inputs", "count", 6);
  for (let i = 0; i < inputs && parts.length < MOST; i++) {
    take(`input ${i}: the transaction that made the coin`, "input: coin, sequence", 32, 1, () => "its id, back to front");
    take(`input ${i}: which of its outputs`, "input: coin, sequence", 4, 1, number(4));
    take(`input ${i}: sequence`, "input: coin, sequence", 4, 1, () => `0x${little(hex, place, 4).toString(16)}`);
  }
  const outputs = parts.length < MOST ? size("how many outputs", "count", 6) : 0;
  for (let i = 0; i < outputs && parts.length < MOST; i++) {
    take(`output ${i}: amount`, "output: amount", 8, 2, () => units(hex, place));
    take(`output ${i}: lock`, "output: lock", 32, 3, () => "hash of the policy that its address stands for");
  }
  if (parts.length < MOST) {
    take("lock_time", "lock_time", 4, 4, number(4));
    for (let i = 0; i < inputs && parts.length < MOST; i++) {
      const length = size(`witness ${i}: length`, "count", 6);
      take(`witness ${i}: ${little(hex, 5, 1) === 0 ? "free bytes" : "policy and what satisfies it"}`, "witness: not part of the txid", length, 5);
    }
  }
  if (place < total) take("the rest", "the rest", total - place, 6);
  return annotated(parts);
}

const unhex = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const sha = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

/// The hashes beside a leaf's way up to the Merkle root, computed here in the browser.
export async function merklePath(ids, place) {
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
export function drawPath(leaf, steps) {
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

