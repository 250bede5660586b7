"use strict";
const find = id => document.getElementById(id);
const data = JSON.parse(find("data").textContent), FINEST = data.pixels.length;
const total = data.pixels.reduce((sum, count) => sum + count, 0);
const PATCHES = 12, PICTURES = 3, SMALLEST = 0.02, CELL = 8;  // shown of a cluster; share of a picture that gets a number; pixels

// Nodes: the finest clusters, the merges of the head's tree, then merges made by hand. A node's number is that of its
// first finest cluster; a cluster has a number, and a colour by it, that no other cluster beside it can have.
const nodes = [], meet = Array.from({length: FINEST}, () => new Array(FINEST).fill(0));
const sum = (counts, leaves) => leaves.reduce((all, leaf) => all + counts[leaf], 0);
const number = node => Math.min(...nodes[node].leaves);
const share = node => sum(data.pixels, nodes[node].leaves) / total;

function join(a, b) {
  const known = nodes.findIndex(one => one.children?.includes(a) && one.children.includes(b));
  if (known >= 0) return known;
  const children = [a, b].sort((x, y) => share(y) - share(x));
  return nodes.push({children, leaves: children.flatMap(child => nodes[child].leaves)}) - 1;
}

for (let leaf = 0; leaf < FINEST; leaf++) nodes.push({leaves: [leaf]});
data.merges.forEach(([a, b], height) => {
  join(a, b);
  for (const x of nodes[a].leaves) for (const y of nodes[b].leaves) meet[x][y] = meet[y][x] = height;
});
const TREE = nodes.length, rank = new Array(FINEST);  // place of a finest cluster on the page: parts of a branch side by side
const bySize = [...rank.keys()].sort((a, b) => data.pixels[b] - data.pixels[a]);
(data.merges.length ? nodes.at(-1).leaves : bySize).forEach((leaf, place) => { rank[leaf] = place; });
const inOrder = clusters => clusters.map(node => [Math.min(...nodes[node].leaves.map(leaf => rank[leaf])), node])
  .sort((a, b) => a[0] - b[0]).map(([, node]) => node);

function cut(count) {
  const alive = new Set(Array(FINEST).keys());
  data.merges.slice(0, FINEST - count).forEach(([a, b], i) => { alive.delete(a); alive.delete(b); alive.add(FINEST + i); });
  return [...alive];
}
function covering(leaves) {  // the fewest nodes of the tree, joined
  const left = new Set(leaves), parts = [];
  for (let node = TREE - 1; node >= 0; node--) {
    if (!nodes[node].leaves.every(leaf => left.has(leaf))) continue;
    nodes[node].leaves.forEach(leaf => left.delete(leaf));
    parts.push(node);
  }
  return parts.reduce(join);
}
function distance(a, b) {  // the height in the tree where two clusters meet, on average of their parts
  const heights = nodes[a].leaves.flatMap(x => nodes[b].leaves.map(y => meet[x][y]));
  return heights.reduce((all, height) => all + height, 0) / heights.length;
}
const others = node => state.clusters.filter(one => one !== node)
  .map(one => [distance(node, one), number(one), one]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, , one]) => one);

// The state: clusters (nodes), and by number what they are called. Every change makes a new one, so that undo is simple.
let state = {clusters: [], names: {}}, last = null;
const past = [], future = [];
const unnamed = node => "cluster " + number(node);

function label(node) {
  const own = state.names[number(node)];
  if (own) return own;
  const parts = new Set(nodes[node].leaves.map(leaf => state.names[leaf]?.name).filter(Boolean));
  return {name: parts.size === 1 ? [...parts][0] : "", void: false};
}
const isVoid = node => label(node).void || label(node).name.trim().toLowerCase() === "void";
const nameOf = node => isVoid(node) ? "void" : label(node).name.trim() || unnamed(node);

function change(next, message, kind = null) {  // several changes of one kind in a row are undone as one
  if (kind === null || kind !== last) past.push(state);
  last = kind;
  future.length = 0;
  state = {...state, ...next};
  show(message);
}
function travel(from, to, message) {
  if (!from.length) return;
  to.push(state);
  state = from.pop();
  last = null;
  show(message);
}
const undo = () => travel(past, future, "Undone.");
const redo = () => travel(future, past, "Done again.");
const slide = count => change({clusters: cut(count)}, "", "slide");

function split(node) {
  const parts = nodes[node].children;
  const [kept, other] = parts.map(number).sort((a, b) => a - b);
  change({clusters: state.clusters.flatMap(one => one === node ? parts : [one])}, `Cluster ${kept} is split into ${kept} and ${other}.`);
  focusOn(kept, ".split");
}
function merge(a, b) {
  const both = join(a, b), [kept, other] = number(a) < number(b) ? [a, b] : [b, a];
  const named = isVoid(kept) && !isVoid(other) || !label(kept).name && !label(kept).void ? other : kept;
  const clusters = [...state.clusters.filter(one => one !== a && one !== b), both];
  change({clusters, names: {...state.names, [number(kept)]: label(named)}}, `Cluster ${number(other)} is part of ${number(kept)} now.`);
  focusOn(number(kept), ".merge");
}
function call(node, what) {
  const i = number(node);
  change({names: {...state.names, [i]: {...label(node), ...what}}}, "", "name " + i);
}

// Pictures
const colour = i => data.palette[i], css = i => `rgb(${colour(i).join(" ")})`;
const ink = i => colour(i)[0] * .3 + colour(i)[1] * .59 + colour(i)[2] * .11 > 130 ? "#000" : "#fff";
const shade = (rgb, alpha) => (alpha << 24 | rgb[2] << 16 | rgb[1] << 8 | rgb[0]) >>> 0;
const of = new Uint8Array(FINEST), visible = new Set();  // number of each finest cluster's cluster; canvases in sight
let version = 0, pointed = null, voids = new Set();

async function idsOf(picture) {
  const image = new Image();
  image.src = picture.ids;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), {width: image.naturalWidth, height: image.naturalHeight});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  return {width: canvas.width, height: canvas.height, ids: Uint8Array.from({length: pixels.length / 4}, (_, i) => pixels[4 * i])};
}
async function paint(canvas) {
  const {picture} = canvas, map = await (picture.map ??= idsOf(picture));
  const only = canvas.only ?? pointed, stamp = version + "/" + only;
  if (canvas.stamp === stamp) return;
  canvas.stamp = stamp;
  canvas.width = map.width;
  canvas.height = map.height;
  const context = canvas.getContext("2d"), pixels = context.createImageData(map.width, map.height);
  fill(new Uint32Array(pixels.data.buffer), map, only);
  context.putImageData(pixels, 0, 0);
  if (only === null) writeNumbers(context, map, picture);
}
function fill(pixels, {width, ids}, only) {
  const fills = Uint32Array.from(of, i => only === null ? voids.has(i) ? shade([255, 255, 255], 190) : shade(colour(i), 150)
    : i === only ? 0 : shade([0, 0, 0], 160));
  const sides = only === null ? of : of.map(i => i === only ? 1 : 0);  // between which there is a white line
  for (let i = 0; i < ids.length; i++) {
    const own = sides[ids[i]], right = (i + 1) % width && sides[ids[i + 1]] !== own;
    const below = i + width < ids.length && sides[ids[i + width]] !== own;
    pixels[i] = right || below ? 0xffffffff : fills[ids[i]];
  }
}
function writeNumbers(context, {width, height, ids}, picture) {  // each in the largest square of its cluster
  const best = {}, across = Math.floor(width / CELL);
  let above = [];
  for (let y = 0; y < Math.floor(height / CELL); y++) {
    const row = [];
    for (let x = 0; x < across; x++) {
      const at = (u, v) => of[ids[(v * CELL + CELL / 2) * width + u * CELL + CELL / 2]], own = at(x, y);
      const grows = x && y && at(x - 1, y) === own && at(x, y - 1) === own && at(x - 1, y - 1) === own;
      row.push(grows ? 1 + Math.min(row[x - 1], above[x], above[x - 1]) : 1);
      if (row[x] > (best[own]?.side ?? 0)) best[own] = {side: row[x], x, y};
    }
    above = row;
  }
  Object.assign(context, {font: "bold 20px system-ui, sans-serif", textAlign: "center", textBaseline: "middle", lineWidth: 4, lineJoin: "round"});
  for (const node of state.clusters) {
    const spot = best[number(node)];
    if (!(spot?.side > 1) || sum(picture.pixels, nodes[node].leaves) < SMALLEST * picture.all) continue;
    const [x, y] = [spot.x, spot.y].map(place => (place + 1 - spot.side / 2) * CELL);
    context.strokeStyle = "#000";
    context.fillStyle = "#fff";
    context.strokeText(number(node), x, y);
    context.fillText(number(node), x, y);
  }
}
const observer = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries) visible[isIntersecting ? "add" : "delete"](target);
  visible.forEach(paint);
}, {rootMargin: "200px"});

function figure(picture, only = null) {
  const box = document.createElement("figure"), image = new Image(), canvas = document.createElement("canvas");
  Object.assign(image, {src: picture.jpeg, title: picture.name, alt: picture.name});
  Object.assign(canvas, {picture, only});
  canvas.style.pointerEvents = "none";
  box.append(image, canvas);
  observer.observe(canvas);
  return box;
}

// Cards
const cards = new Map();  // by node, of those on the page

function typical(node) {  // the best of each finest cluster, then the second ones
  const lists = nodes[node].leaves.toSorted((a, b) => data.pixels[b] - data.pixels[a]).map(leaf => data.patches[leaf]);
  const turns = Array.from({length: PATCHES}, (_, turn) => lists.map(list => list[turn])).flat();
  return turns.filter(Boolean).slice(0, PATCHES);
}
function card(node) {
  const made = find("card").content.firstElementChild.cloneNode(true), i = number(node), get = name => made.querySelector(name);
  const text = get("input[type=text]"), part = picture => sum(picture.pixels, nodes[node].leaves) / picture.all;
  made.dataset.cluster = i;
  made.style.cssText = `--colour: ${css(i)}; --ink: ${ink(i)}`;
  get(".number").textContent = i;
  get(".share").textContent = (100 * share(node)).toFixed(1) + " %";
  Object.assign(text, {placeholder: unnamed(node), ariaLabel: "name of cluster " + i});
  text.addEventListener("input", () => call(node, {name: text.value}));
  Object.assign(get("input[type=checkbox]"), {ariaLabel: `cluster ${i} is void`});
  get("input[type=checkbox]").addEventListener("change", event => call(node, {void: event.target.checked}));
  Object.assign(get(".split"), {ariaLabel: "split cluster " + i, disabled: !nodes[node].children});
  get(".split").addEventListener("click", () => split(node));
  get(".merge").ariaLabel = `merge cluster ${i} with the chosen one`;
  get(".merge").addEventListener("click", () => merge(node, Number(get("select").value)));
  get("select").ariaLabel = `cluster to merge with cluster ${i}`;
  for (const src of typical(node)) get(".patches").append(Object.assign(new Image(), {src, alt: "typical of cluster " + i}));
  const most = data.pictures.filter(part).toSorted((a, b) => part(b) - part(a)).slice(0, PICTURES);
  for (const picture of most) {
    const box = figure(picture, i);
    box.firstChild.alt = `${picture.name}, ${(100 * part(picture)).toFixed(0)} % cluster ${i}`;
    get(".pictures").append(box);
  }
  return made;
}
const title = node => nameOf(node) === unnamed(node) ? unnamed(node) : `${number(node)}: ${nameOf(node)}`;
const isSister = (a, b) => nodes.some(({children}) => children?.includes(a) && children.includes(b));
function update(node) {  // what of a card can change while its cluster stays
  const made = cards.get(node), text = made.querySelector("input[type=text]"), select = made.querySelector("select");
  if (text.value !== label(node).name) text.value = label(node).name;
  text.disabled = made.querySelector("input[type=checkbox]").checked = label(node).void;
  made.classList.toggle("void", isVoid(node));
  const found = others(node), chosen = select.value;
  select.replaceChildren(...found.map(one => new Option(title(one) + (isSister(node, one) ? " (sister)" : ""), one)));
  if (found.includes(Number(chosen)) && chosen) select.value = chosen;
  select.disabled = made.querySelector(".merge").disabled = !found.length;
}
function show(message) {
  state.clusters = inOrder(state.clusters);
  for (const node of state.clusters) for (const leaf of nodes[node].leaves) of[leaf] = number(node);
  voids = new Set(state.clusters.filter(isVoid).map(number));
  version++;
  for (const node of cards.keys()) if (!state.clusters.includes(node)) cards.delete(node);
  for (const node of state.clusters) if (!cards.has(node)) cards.set(node, card(node));
  const order = state.clusters.map(node => cards.get(node));
  if (order.some((made, i) => find("cards").children[i] !== made) || find("cards").children.length > order.length) find("cards").replaceChildren(...order);
  state.clusters.forEach(update);
  tell(message);
  visible.forEach(paint);
}
function tell(message) {
  const count = state.clusters.length, names = new Set(state.clusters.map(nameOf));
  names.delete("void");
  find("used").replaceChildren(...[...names].map(name => new Option(name)));
  find("classes").value = names.size + (names.size === 1 ? " class" : " classes");
  find("said").value = message;
  find("count").value = find("counted").value = count;
  find("count").ariaValueText = count + " clusters";
  find("undo").disabled = !past.length;
  find("redo").disabled = !future.length;
}
const inCard = (i, name) => document.querySelector(`section[data-cluster="${i}"] ${name}`);
function focusOn(i, name) {
  const button = inCard(i, name);
  (button.disabled ? inCard(i, "input[type=text]") : button).focus();
}
function point(i) {
  pointed = i;
  visible.forEach(paint);
}

// The table of names
let saved = null;
const quoted = name => /[",\n\r]/.test(name) ? '"' + name.replaceAll('"', '""') + '"' : name;
function table() {
  const rows = new Array(FINEST);
  for (const node of state.clusters) for (const leaf of nodes[node].leaves) rows[leaf] = [leaf, quoted(nameOf(node)), data.head].join(",");
  return ["cluster,name,head", ...rows].join("\r\n") + "\r\n";
}
function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], {type: "text/csv"}));
  link.download = "names.csv";
  link.click();
  saved = table();
  find("said").value = "names.csv is among your downloads.";
}

// Controls
find("slide").hidden = !data.merges.length;
Object.assign(find("count"), {min: Math.min(2, FINEST), max: FINEST});
find("count").addEventListener("input", event => slide(Number(event.target.value)));
for (const [id, act] of Object.entries({undo, redo, save})) find(id).addEventListener("click", act);
const cardAt = target => target.closest?.("section")?.dataset.cluster;
const pointAt = event => point(cardAt(event.target) === undefined ? null : Number(cardAt(event.target)));
document.addEventListener("focusin", pointAt);
document.addEventListener("pointerover", event => { if (event.pointerType === "mouse") pointAt(event); });
document.addEventListener("keydown", event => {
  const key = event.key.toLowerCase(), typing = event.target.type === "text";
  if (event.ctrlKey || event.metaKey) {
    const act = key === "s" ? save : typing ? null : key === "y" || key === "z" && event.shiftKey ? redo : key === "z" ? undo : null;
    if (act) { event.preventDefault(); act(); }
  } else if (key === "enter" && typing) {
    event.preventDefault();
    const texts = [...document.querySelectorAll("section input[type=text]")];
    (texts.slice(texts.indexOf(event.target) + 1).find(text => !text.disabled) || find("save")).focus();
  }
});
window.addEventListener("beforeunload", event => { if (navigator.userActivation?.hasBeenActive && past.length && saved !== table()) event.preventDefault(); });
new ResizeObserver(([{target}]) => document.body.style.setProperty("--under", target.offsetHeight + "px")).observe(find("bar"));

for (const picture of data.pictures) {
  picture.all = picture.pixels.reduce((all, count) => all + count, 0);
  find("whole").append(figure(picture));
}
const clusters = data.start.map(covering), names = {};
clusters.forEach((node, i) => {
  const name = data.names[i];
  if (name !== unnamed(node)) names[number(node)] = {name: name === "void" ? "" : name, void: name === "void"};
});
state = {clusters, names};
show("");
