// The view as a PNG: pictures, marks, names, scale, north, dates, credit; SIMULATED where it is.

import { latlng, outside } from "./map.js";
import { clock, day, kind, size } from "./words.js";

const STYLE = {
  o: { color: "#ff7a1a", width: 5 },
  e: { color: "#53c1f5", width: 3 },
  u: { color: "#e4e7ea", width: 3, dash: [5, 7] },
  n: { color: "#e4e7ea", width: 1.5, dash: [1, 5] },
};
const FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";
const HEAD = 46;
const FOOT = 58;

function step(limit) {
  const power = 10 ** Math.floor(Math.log10(limit));
  return [5, 2, 1].map((factor) => factor * power).find((value) => value <= limit);
}

/** Text cut to a width. */
function fitted(ctx, words, width) {
  if (ctx.measureText(words).width <= width) return words;
  let cut = words;
  while (cut.length > 1 && ctx.measureText(`${cut}…`).width > width) cut = cut.slice(0, -1);
  return `${cut}…`;
}

export class Figure {
  constructor(siteMap, state) {
    this.siteMap = siteMap;
    this.state = state;
    const { x, y } = siteMap.map.getSize();
    this.width = x;
    this.height = y;
    this.scale = Math.max(2, Math.min(window.devicePixelRatio || 1, 3));
    this.canvas = document.createElement("canvas");
    const head = HEAD + (state.looks.some((look) => look.simulated) ? 24 : 0);
    this.top = head;
    this.canvas.width = Math.round(x * this.scale);
    this.canvas.height = Math.round((y + head + FOOT) * this.scale);
    this.ctx = this.canvas.getContext("2d");
    this.ctx.scale(this.scale, this.scale);
  }

  px(point) {
    const { x, y } = this.siteMap.map.latLngToContainerPoint(latlng(point));
    return [x, y + this.top];
  }

  images(name) {
    const pane = this.siteMap.map.getPane(name);
    const frame = this.siteMap.map.getContainer().getBoundingClientRect();
    for (const image of pane.querySelectorAll("img")) {
      if (!image.complete || !image.naturalWidth) continue;
      const box = image.getBoundingClientRect();
      this.ctx.drawImage(image, box.left - frame.left, box.top - frame.top + this.top, box.width, box.height);
    }
  }

  ground() {
    const { ctx, state } = this;
    ctx.fillStyle = "#20272e";
    ctx.fillRect(0, this.top, this.width, this.height);
    ctx.save();
    ctx.beginPath();
    ctx.rect(0, this.top, this.width, this.height);
    ctx.clip();
    if (state.mode !== "one") this.images("under");
    const { mode, part } = state;
    if (mode === "swipe") {
      ctx.beginPath();
      ctx.rect(part * this.width, this.top, this.width, this.height);
      ctx.clip();
    }
    ctx.globalAlpha = mode === "fade" ? part : mode === "flicker" && !state.upper ? 0 : 1;
    this.images("over");
    ctx.restore();
  }

  path(points, closed = false) {
    this.ctx.beginPath();
    points.forEach((point, index) => this.ctx[index ? "lineTo" : "moveTo"](...this.px(point)));
    if (closed) this.ctx.closePath();
  }

  stroke(color, width, dash = []) {
    Object.assign(this.ctx, { strokeStyle: color, lineWidth: width, lineCap: "round", lineJoin: "round" });
    this.ctx.setLineDash(dash);
    this.ctx.stroke();
    this.ctx.setLineDash([]);
  }

  marks() {
    const { look, things } = this.siteMap.shown;
    this.ctx.save();
    // Beside a line, only the marks of the date on its right are true.
    const from = this.state.mode === "swipe" ? this.state.part * this.width : 0;
    this.ctx.beginPath();
    this.ctx.rect(from, this.top, this.width - from, this.height);
    this.ctx.clip();
    for (const shape of this.siteMap.site.shapes) {
      const style = STYLE[look?.states[shape.id] || "n"];
      if (["track", "bridge"].includes(shape.role)) {
        const found = style === STYLE.o ? things.filter((thing) => thing.kind !== "change").map((thing) => thing.metres[0]) : [];
        for (const piece of outside(shape.metres, found)) {
          this.path(piece);
          this.stroke("rgba(11,17,23,0.55)", style.width + 3);
          this.stroke(style.color, style.width, style.dash);
        }
      } else if (shape.role === "apron") {
        this.path(shape.metres[0], true);
        this.stroke(style.color, style === STYLE.o ? 2.5 : 1.5, style === STYLE.o ? [] : style.dash || [8, 4]);
      }
    }
    for (const thing of things) {
      this.path(thing.metres[0], true);
      this.stroke("#0b1117", 5);
      this.stroke("#ffe9d6", 2.5);
    }
    this.labels(things);
    this.ctx.restore();
  }

  labels(things) {
    const { ctx } = this;
    ctx.font = `600 12px ${FONT}`;
    const taken = [];
    for (const thing of things) {
      const words = `${kind(thing.kind)} ${size(thing)}`;
      const [x, y] = this.px(thing.metres[0].reduce((best, point) => (point[1] > best[1] ? point : best)));
      const wide = ctx.measureText(words).width + 12;
      const left = Math.min(Math.max(x - wide / 2, 4), this.width - wide - 4);
      let row = y - 28;
      while (taken.some(([l, r, w]) => Math.abs(r - row) < 22 && left < l + w && l < left + wide)) row -= 23;
      if (row < this.top) continue;
      taken.push([left, row, wide]);
      ctx.fillStyle = "rgba(11,17,23,0.85)";
      ctx.beginPath();
      ctx.roundRect(left, row, wide, 20, 4);
      ctx.fill();
      ctx.fillStyle = "#fff3e6";
      ctx.fillText(words, left + 6, row + 14);
    }
  }

  stamp() {
    const { ctx } = this;
    ctx.save();
    ctx.translate(this.width / 2, this.top + this.height / 2);
    ctx.rotate(-Math.atan2(this.height, this.width) * 0.6);
    ctx.font = `800 ${Math.round(this.width / 8)}px ${FONT}`;
    Object.assign(ctx, { textAlign: "center", textBaseline: "middle", fillStyle: "rgba(255,255,255,0.16)", strokeStyle: "rgba(0,0,0,0.2)", lineWidth: 1.5 });
    ctx.fillText("SIMULATED", 0, 0);
    ctx.strokeText("SIMULATED", 0, 0);
    ctx.restore();
    ctx.fillStyle = "#8a1c1c";
    ctx.fillRect(0, 0, this.width, 24);
    ctx.font = `700 12px ${FONT}`;
    Object.assign(ctx, { fillStyle: "#fff", textAlign: "center", textBaseline: "middle" });
    ctx.fillText("SIMULATED imagery: made by a computer, not a real observation", this.width / 2, 12.5);
    Object.assign(ctx, { textAlign: "left", textBaseline: "alphabetic" });
  }

  furniture() {
    const { ctx } = this;
    const pixel = 2 ** -this.siteMap.map.getZoom();
    const length = step(pixel * 160);
    const wide = length / pixel;
    const y = this.top + this.height - 16;
    ctx.fillStyle = "rgba(11,17,23,0.72)";
    ctx.fillRect(10, y - 24, wide + 20, 32);
    ctx.fillStyle = "#fff";
    ctx.fillRect(20, y - 2, wide, 4);
    ctx.font = `600 12px ${FONT}`;
    ctx.fillText(length >= 1000 ? `${length / 1000} km` : `${length} m`, 20, y - 9);
    const x = this.width - 28;
    ctx.fillStyle = "rgba(11,17,23,0.72)";
    ctx.fillRect(x - 14, this.top + 10, 28, 44);
    ctx.fillStyle = "#fff";
    ctx.beginPath();
    ctx.moveTo(x, this.top + 15);
    ctx.lineTo(x + 7, this.top + 34);
    ctx.lineTo(x, this.top + 30);
    ctx.lineTo(x - 7, this.top + 34);
    ctx.fill();
    ctx.textAlign = "center";
    ctx.fillText("N", x, this.top + 49);
    ctx.textAlign = "left";
  }

  /** The line between two dates, and which is which. */
  divide() {
    const { ctx, state } = this;
    if (state.mode !== "swipe" || state.looks.length < 2) return;
    const x = state.part * this.width;
    ctx.beginPath();
    ctx.moveTo(x, this.top);
    ctx.lineTo(x, this.top + this.height);
    this.stroke("rgba(0,0,0,0.5)", 4);
    this.stroke("#ffffff", 2);
    ctx.font = `600 13px ${FONT}`;
    state.looks.forEach((look, index) => {
      const words = day(look.datetime);
      const wide = ctx.measureText(words).width + 16;
      const left = index ? x + 8 : x - wide - 8;
      ctx.fillStyle = "rgba(11,17,23,0.82)";
      ctx.beginPath();
      ctx.roundRect(left, this.top + 10, wide, 24, 5);
      ctx.fill();
      ctx.fillStyle = "#fff";
      ctx.fillText(words, left + 8, this.top + 27);
    });
  }

  words() {
    const { ctx, state, siteMap } = this;
    const top = this.top - HEAD;
    ctx.fillStyle = "#fff";
    ctx.fillRect(0, top, this.width, HEAD);
    ctx.fillRect(0, this.top + this.height, this.width, FOOT);
    ctx.fillStyle = "#16202a";
    ctx.font = `700 15px ${FONT}`;
    ctx.fillText(fitted(ctx, siteMap.site.name, this.width - 28), 14, top + 20);
    ctx.font = `400 12.5px ${FONT}`;
    const dates = state.looks.map((look) => `${clock(look.datetime)} (${look.sensor})`);
    const joined = { swipe: " | ", fade: " under ", flicker: " or " }[state.mode] || "";
    ctx.fillText(fitted(ctx, dates.join(joined), this.width - 28), 14, top + 37);
    let x = 14;
    const y = this.top + this.height + 21;
    for (const [key, name] of [["o", "occupied"], ["e", "empty"], ["u", "unknown"]]) {
      ctx.beginPath();
      ctx.moveTo(x, y - 4);
      ctx.lineTo(x + 26, y - 4);
      this.stroke("#39434d", STYLE[key].width + 2);
      ctx.beginPath();
      ctx.moveTo(x, y - 4);
      ctx.lineTo(x + 26, y - 4);
      this.stroke(STYLE[key].color, STYLE[key].width, STYLE[key].dash);
      ctx.fillText(name, x + 34, y);
      x += 54 + ctx.measureText(name).width;
    }
    const credits = [...new Set(state.looks.map((look) => look.credit).filter(Boolean))];
    ctx.fillStyle = "#4b5763";
    ctx.fillText(fitted(ctx, `Imagery: ${credits.join("; ") || "no credit given"}. Analysis: rail-watch.`, this.width - 28), 14, y + 22);
  }

  async blob() {
    this.ground();
    if (this.siteMap.marked) this.marks();
    if (this.state.looks.some((look) => look.simulated)) this.stamp();
    this.divide();
    this.furniture();
    this.words();
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
  }
}

export async function save(siteMap, state) {
  await siteMap.settled();
  const blob = await new Figure(siteMap, state).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${siteMap.site.id}-${state.looks.at(-1).datetime.slice(0, 16).replace(/[-:]/g, "")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
