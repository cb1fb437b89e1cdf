// Every place at every look: occupied, empty, unknown; where there is no look, nothing.

import { STATES, clock, el, month, svg } from "./words.js";

const ROW = 15;
const HEAD = 34;
const LEAST = 7;
const CELL = 6;
const DAY = 86_400_000;

export class Timeline {
  constructor(site, box, chosen) {
    this.site = site;
    this.box = box;
    this.chosen = chosen;
    const drawn = new Set(site.looks.flatMap((look) => Object.keys(look.states)));
    this.places = site.shapes.filter((shape) => drawn.has(shape.id));
    this.scroller = el("div", {
      className: "time-scroll", tabIndex: 0, role: "slider", ariaLabel: "Date, by the timeline",
      on: { click: (event) => this.clicked(event), mousemove: (event) => this.hint(event) },
    });
    this.scroller.setAttribute("aria-valuemin", "1");
    this.scroller.setAttribute("aria-valuemax", String(Math.max(site.looks.length, 1)));
    const names = el("div", { className: "time-names", ariaHidden: "true" }, el("span", { className: "looks-name" }, "looks"));
    for (const place of this.places) names.append(el("span", { title: place.name }, place.short));
    box.replaceChildren(names, this.scroller);
    this.draw();
    new ResizeObserver(() => this.resized()).observe(this.scroller);
  }

  resized() {
    if (Math.abs(this.scroller.clientWidth - this.width) > 4) {
      this.draw();
      if (this.at) this.mark(this.at, this.with);
    }
  }

  layout() {
    const looks = this.site.looks;
    this.width = this.scroller.clientWidth || 600;
    const first = looks.length ? Date.parse(looks[0].datetime) : 0;
    const last = looks.length ? Date.parse(looks.at(-1).datetime) : DAY;
    const perDay = Math.max((this.width - 30) / Math.max((last - first) / DAY, 1), 3);
    let before = -Infinity;
    this.x = looks.map((look) => {
      before = Math.max(14 + (perDay * (Date.parse(look.datetime) - first)) / DAY, before + LEAST);
      return before;
    });
    this.full = Math.max(this.width - 2, (this.x.at(-1) || 0) + 16);
  }

  draw() {
    this.layout();
    const looks = this.site.looks;
    const height = HEAD + ROW * this.places.length + 4;
    const picture = svg("svg", { width: this.full, height, "aria-hidden": "true", focusable: "false" });
    picture.append(this.months(height));
    const paths = { o: "", e: "", u: "", n: "" };
    const rows = new Map(this.places.map((place, index) => [place.id, HEAD + ROW * index]));
    for (const top of rows.values()) paths.n += `M4 ${top + ROW / 2}H${this.full - 4}`;
    const half = CELL / 2;
    looks.forEach((look, index) => {
      const x = this.x[index];
      if (look.status === "used") paths.o2 = `${paths.o2 || ""}M${x - 2.5} 25a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0`;
      else paths.u2 = `${paths.u2 || ""}M${x - 2.5} 22.5l5 5m0 -5l-5 5`;
      for (const [place, state] of Object.entries(look.states)) {
        const top = rows.get(place);
        if (top === undefined) continue;
        if (state === "o") paths.o += `M${x - half} ${top + 1.5}h${CELL}v${ROW - 3}h${-CELL}z`;
        else if (state === "e") paths.e += `M${x - half} ${top + ROW / 2 - 1.5}h${CELL}v3h${-CELL}z`;
        else paths.u += `M${x - half + 0.5} ${top + 3.5}h${CELL - 1}v${ROW - 7}h${-CELL + 1}z`;
      }
    });
    this.bandWith = svg("rect", { class: "band with", y: 14, width: CELL + 4, height: height - 14, x: -50 });
    this.bandAt = svg("rect", { class: "band at", y: 14, width: CELL + 4, height: height - 14, x: -50 });
    picture.append(
      svg("path", { class: "line-n", d: paths.n }), this.bandWith, this.bandAt, this.stays(rows),
      svg("path", { class: "cell-u", d: paths.u }), svg("path", { class: "cell-e", d: paths.e }), svg("path", { class: "cell-o", d: paths.o }),
      svg("path", { class: "look-seen", d: paths.o2 || "M0 0" }), svg("path", { class: "look-hidden", d: paths.u2 || "M0 0" }),
    );
    this.scroller.replaceChildren(picture);
  }

  stays(rows) {
    const index = new Map(this.site.looks.map((look, i) => [look.datetime, i]));
    const group = svg("g", { class: "stays" });
    for (const stay of this.site.stays) {
      const top = rows.get(stay.track || stay.apron);
      const [from, to] = [index.get(stay.first_seen), index.get(stay.last_seen)];
      if (top === undefined || from === undefined || to === undefined || from === to) continue;
      group.append(svg("path", { d: `M${this.x[from]} ${top + ROW / 2}H${this.x[to]}` }));
    }
    return group;
  }

  months(height) {
    const group = svg("g", { class: "months" });
    let last = "";
    let free = -Infinity;
    this.site.looks.forEach((look, index) => {
      const name = month(new Date(look.datetime));
      if (name === last) return;
      last = name;
      const x = this.x[index] - CELL / 2 - 2;
      group.append(svg("path", { d: `M${x} 4V${height}` }));
      if (x < free) return;
      free = x + 62;
      group.append(svg("text", { x: x + 4, y: 12 }, name));
    });
    return group;
  }

  nearest(event) {
    const left = event.clientX - this.scroller.getBoundingClientRect().left + this.scroller.scrollLeft;
    let best = -1;
    this.x.forEach((x, index) => {
      if (best < 0 || Math.abs(x - left) < Math.abs(this.x[best] - left)) best = index;
    });
    return this.site.looks[best];
  }

  clicked(event) {
    const look = this.nearest(event);
    if (look) this.chosen(look, event.shiftKey);
  }

  hint(event) {
    const look = this.nearest(event);
    if (!look) return;
    const box = this.scroller.getBoundingClientRect();
    const place = this.places[Math.floor((event.clientY - box.top - HEAD) / ROW)];
    const state = place && look.states[place.id];
    this.scroller.title = `${clock(look.datetime)}, ${look.sensor}${place ? `\n${place.short}: ${STATES[state] || "no look"}` : ""}`;
  }

  /** Mark the date chosen and the one compared with. */
  mark(at, other) {
    this.at = at;
    this.with = other;
    const index = this.site.looks.indexOf(at);
    const second = this.site.looks.indexOf(other);
    this.bandAt.setAttribute("x", index < 0 ? -50 : this.x[index] - CELL / 2 - 2);
    this.bandWith.setAttribute("x", second < 0 ? -50 : this.x[second] - CELL / 2 - 2);
    this.scroller.setAttribute("aria-valuenow", String(index + 1));
    this.scroller.setAttribute("aria-valuetext", at ? clock(at.datetime) : "none");
    const left = this.x[index] ?? 0;
    if (left < this.scroller.scrollLeft + 20 || left > this.scroller.scrollLeft + this.width - 20) {
      this.scroller.scrollLeft = left - this.width / 2;
    }
  }
}
