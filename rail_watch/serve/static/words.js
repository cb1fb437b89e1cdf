// Dates, sizes and states in words, and elements made of them. Text from outside is only ever set as text.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (number) => String(number).padStart(2, "0");

export const STATES = { o: "occupied", e: "empty", u: "unknown" };

export function day(iso) {
  const when = new Date(iso);
  return `${when.getUTCDate()} ${MONTHS[when.getUTCMonth()]} ${when.getUTCFullYear()}`;
}

export function clock(iso) {
  const when = new Date(iso);
  return `${day(iso)}, ${two(when.getUTCHours())}:${two(when.getUTCMinutes())} UTC`;
}

export const month = (when) => `${MONTHS[when.getUTCMonth()]} ${when.getUTCFullYear()}`;

const KINDS = { train: "Train", "train-on-bridge": "Train on bridge", cargo: "Cargo", change: "Change" };
export const kind = (name) => KINDS[name] || name;

/** What is told first: trains, then cargo, then what only looks different; the larger before the smaller. */
const ORDER = ["train-on-bridge", "train", "cargo", "change"];
export const rank = (thing) => ORDER.indexOf(thing.kind) * 1e6 - (thing.length_m ?? thing.area_m2 ?? 0);

export function size(thing) {
  const parts = [];
  if (thing.railcars != null) parts.push(`${thing.railcars} railcar${thing.railcars === 1 ? "" : "s"}`);
  if (thing.length_m != null) parts.push(`${Math.round(thing.length_m)} m`);
  if (thing.area_m2 != null) parts.push(`${Math.round(thing.area_m2)} m²`);
  return parts.join(", ");
}

export const metres = (length) => (length < 100 ? `${length.toFixed(1)} m` : length < 10000 ? `${Math.round(length)} m` : `${(length / 1000).toFixed(2)} km`);

export function el(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name in made && name !== "list") made[name] = value;
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function say(text) {
  const place = document.getElementById("say");
  if (place) place.textContent = text;
}
