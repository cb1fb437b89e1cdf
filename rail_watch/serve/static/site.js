// One site: what is chosen, and everything that shows it.

import * as address from "./address.js";
import { get, readOnly, siteUrl, wholeUrl } from "./api.js";
import { AreaEditor } from "./areas.js";
import { save } from "./figure.js";
import { SiteMap, lonlat } from "./map.js";
import { Measure } from "./measure.js";
import { card } from "./review.js";
import { Timeline } from "./timeline.js";
import { clock, day, el, kind, rank, say, size } from "./words.js";

const $ = (id) => document.getElementById(id);
const BEAT = 750;

class Page {
  constructor(site, state) {
    this.site = site;
    this.state = state;
    this.upper = true;
    this.names = new Map(site.shapes.map((shape) => [shape.id, shape.short]));
    $("site-name").textContent = site.name;
    document.title = `${site.name} · rail-watch`;
    $("simulated").hidden = !site.simulated;
    this.map = new SiteMap(site, {
      moved: () => this.ready && this.write(),
      pictured: (pane, look, failed) => this.pictured(pane, look, failed),
      picked: (id) => this.pick(id),
    });
    this.timeline = new Timeline(site, $("timeline"), (look, second) => (second ? this.compare(look) : this.choose(look)));
    this.measure = new Measure(this.map, $("measured"), $("cross"), $("measure"));
    this.editor = new AreaEditor(this.map, $("area"), $("cross"), $("edit"), { toggled: (on) => this.editing(on) });
    $("edit").hidden = readOnly;
    this.selects();
    this.listen();
    if (state.view) this.map.setView(state.view);
    this.ready = true;
  }

  // ---- what is chosen

  at() {
    return this.site.looks.find((look) => look.scene === this.state.at);
  }

  other() {
    return this.site.looks.find((look) => look.scene === this.state.with);
  }

  /** The look whose states and findings are shown. */
  shown() {
    return this.state.mode === "flicker" && !this.upper ? this.other() || this.at() : this.at();
  }

  choose(look, thing = null) {
    if (!look) return;
    this.state.at = look.scene;
    this.state.thing = thing;
    this.upper = true;
    if (!this.other() || this.other() === look) this.state.with = this.before(look)?.scene ?? null;
    this.show();
    say(`${clock(look.datetime)}. ${this.counted(look)}`);
  }

  compare(look) {
    this.state.with = look.scene;
    if (this.state.mode === "one") this.state.mode = "swipe";
    this.show();
  }

  /** The clear look before this one, of the same sensor where there is one. */
  before(look) {
    const index = this.site.looks.indexOf(look);
    const earlier = this.site.looks.slice(0, index).filter((one) => one.status === "used").reverse();
    const later = this.site.looks.slice(index + 1).filter((one) => one.status === "used");
    return earlier.find((one) => one.sensor === look.sensor) || earlier[0] || later.find((one) => one.sensor === look.sensor) || later[0];
  }

  step(by) {
    const index = this.site.looks.indexOf(this.at()) + by;
    if (this.site.looks[index]) this.choose(this.site.looks[index]);
  }

  pick(id) {
    const thing = this.site.observations.find((one) => one.id === id);
    if (!thing) return;
    const look = this.site.looks.find((one) => one.look === thing.look);
    const same = this.state.thing === id;
    this.choose(look, same ? null : id);
    if (!same) this.map.zoomTo(thing.metres);
    document.querySelector(`[data-thing="${CSS.escape(id)}"]`)?.focus({ preventScroll: true });
    if (!same) document.querySelector(".thing.chosen")?.scrollIntoView({ block: "nearest" });
  }

  things(look) {
    return look ? this.site.observations.filter((one) => one.look === look.look && one.change !== "departed") : [];
  }

  // ---- showing

  show() {
    const look = this.at();
    const other = this.state.mode === "one" ? null : this.other();
    this.pictures(look, other);
    this.marks();
    this.timeline.mark(look, other);
    this.controls(look, other);
    this.facts(look);
    this.seen(look);
    this.write();
  }

  pictures(look, other) {
    this.map.picture("over", look);
    this.map.picture("under", other);
    for (const near of [-1, 1]) {
      const next = this.site.looks[this.site.looks.indexOf(look) + near];
      if (next) setTimeout(() => { new Image().src = wholeUrl(this.site.id, next.look); }, 400);
    }
  }

  marks() {
    const look = this.shown();
    this.map.draw(look, this.things(look), this.state.thing);
    $("stamp").hidden = !(this.at()?.simulated || this.other()?.simulated);
  }

  controls(look, other) {
    const { mode, part } = this.state;
    document.querySelector(`#modes input[value="${mode}"]`).checked = true;
    $("at").value = look?.scene ?? "";
    $("with").value = this.state.with ?? "";
    $("with-row").hidden = mode === "one";
    const index = this.site.looks.indexOf(look);
    $("earlier").disabled = index <= 0;
    $("later").disabled = index >= this.site.looks.length - 1;
    $("slide").hidden = mode === "one";
    $("play").hidden = mode !== "flicker";
    $("part").hidden = mode === "flicker";
    $("part").value = String(Math.round(part * 100));
    $("part-label").textContent = { swipe: "Line between the dates", fade: "How much of the later choice", flicker: "Space changes the date shown" }[mode] || "";
    $("split").hidden = mode !== "swipe";
    this.map.swipe(mode === "swipe" ? part : null);
    $("split").style.left = `${part * 100}%`;
    this.map.fade(mode === "fade" ? part : mode === "flicker" && !this.upper ? 0 : 1);
    const left = mode === "swipe" ? other : null;
    const right = mode === "swipe" ? look : this.shown();
    $("tag-left").hidden = !left;
    $("tag-left").textContent = left ? day(left.datetime) : "";
    $("tag-right").hidden = !right;
    $("tag-right").textContent = right ? (mode === "fade" && other ? `${day(other.datetime)} → ${day(right.datetime)}` : day(right.datetime)) : "";
    if (mode !== "flicker") this.rest();
  }

  counted(look) {
    const letters = Object.entries(look.states).filter(([place]) => this.names.has(place)).map(([, state]) => state);
    const count = (state) => letters.filter((one) => one === state).length;
    return `${count("o")} occupied, ${count("e")} empty, ${count("u")} unknown`;
  }

  facts(look) {
    const box = $("facts");
    if (!look) return box.replaceChildren(el("p", {}, "No look of this site yet."));
    const hidden = look.status !== "used" ? el("p", { className: "warn" }, `Nothing could be seen: ${look.reason || "no reason given"}.`) : null;
    return box.replaceChildren(
      ...[
        el("p", { className: "counts" }, this.counted(look)),
        hidden,
        el("p", { className: "muted small" }, `${look.sensor} · ${Math.round(100 * look.clear)} % clear`),
        look.credit ? el("p", { className: "muted small" }, look.credit) : null,
      ].filter(Boolean),
    );
  }

  seen(look) {
    const things = this.things(look).sort((a, b) => rank(a) - rank(b));
    const actions = { pick: (id) => this.pick(id), reload: () => this.reload() };
    const cards = things.map((thing) => card(thing, this.site.reviews[thing.id] || [], thing.id === this.state.thing, this.names, actions));
    $("seen").replaceChildren(el("h2", {}, things.length ? `Seen on this date (${things.length})` : "Nothing seen on this date"), ...cards, ...this.limits(look, things));
  }

  /** What would have shown, and what could not be seen: not the same as nothing there. */
  limits(look, things) {
    if (!look || look.status !== "used") return [];
    const hidden = Object.entries(look.states).filter(([, state]) => state === "u").map(([place]) => this.names.get(place) || place);
    const limits = Object.entries(look.limits).filter(([place]) => this.site.shapes.some((shape) => shape.id === place && shape.role !== "apron"));
    const lines = [];
    if (hidden.length) lines.push(el("p", { className: "muted" }, `Could not be seen: ${hidden.join(", ")}.`));
    if (limits.length) {
      const metres = limits.map(([, limit]) => limit);
      const [least, most] = [Math.round(Math.min(...metres)), Math.round(Math.max(...metres))];
      lines.push(el("p", { className: "muted" }, `On empty tracks this look would have shown a train of ${least === most ? "" : `${least} to `}${most} m or longer.`));
    }
    return things.length || lines.length ? lines : [el("p", { className: "muted" }, "No detection limit is known for this look.")];
  }

  stays() {
    const list = el("ul", { className: "stays-list" });
    for (const stay of this.site.stays) {
      const span = stay.first_seen === stay.last_seen ? day(stay.first_seen) : `${day(stay.first_seen)} – ${day(stay.last_seen)}`;
      const place = this.names.get(stay.track || stay.apron) || stay.track || stay.apron;
      const left = stay.left_by ? `gone by ${day(stay.left_by)}` : "not seen to leave";
      list.append(el("li", {}, el("button", { type: "button", on: { click: () => this.pick(stay.observations[0]) } }, el("strong", {}, `${kind(stay.kind)} · ${size(stay)}`), el("span", { className: "muted" }, `${place} · ${span} · ${left}`))));
    }
    $("stays").querySelector("div").replaceChildren(this.site.stays.length ? list : el("p", { className: "muted" }, "Nothing was seen to stand here."));
  }

  pictured(pane, look, failed) {
    if (pane !== "over" || look !== this.at()) return;
    $("nopicture").hidden = !failed;
    if (!failed) return;
    $("nopicture").textContent = "No picture of this look here.";
    fetch(failed).then((answer) => answer.json()).then((body) => { $("nopicture").textContent = `No picture of this look: ${body.error}`; }, () => {});
  }

  write() {
    const { at, mode, part, thing } = this.state;
    const paired = mode !== "one";
    address.write({ at, with: paired ? this.state.with : null, mode: paired ? mode : null, part: paired ? part : null, thing, view: this.map.view().join(",") });
  }

  async reload() {
    this.site.reviews = (await get(siteUrl(this.site.id))).reviews;
    this.seen(this.at());
  }

  // ---- doing

  selects() {
    const options = () => [...this.site.looks].reverse().map((look) => {
      const seen = look.status !== "used" ? " · not seen" : Object.values(look.states).includes("o") ? " · occupied" : "";
      return el("option", { value: look.scene }, `${clock(look.datetime)} · ${look.gsd_m} m${seen}`);
    });
    $("at").replaceChildren(...options());
    $("with").replaceChildren(...options());
    this.stays();
  }

  listen() {
    const scene = (value) => this.site.looks.find((look) => look.scene === value);
    $("at").addEventListener("change", () => this.choose(scene($("at").value)));
    $("with").addEventListener("change", () => this.compare(scene($("with").value)));
    $("earlier").addEventListener("click", () => this.step(-1));
    $("later").addEventListener("click", () => this.step(1));
    $("modes").addEventListener("change", (event) => this.mode(event.target.value));
    $("part").addEventListener("input", () => this.part($("part").value / 100));
    $("play").addEventListener("click", () => (this.beat ? this.rest() : this.play()));
    $("labels").addEventListener("change", () => { this.map.labelled = $("labels").checked; this.marks(); });
    $("marks").addEventListener("change", () => { this.map.marked = $("marks").checked; this.marks(); });
    $("fit").addEventListener("click", () => this.map.fit());
    $("export").addEventListener("click", () => this.save());
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("hashchange", () => this.arrived());
    this.map.map.on("mousemove", (event) => this.where(event.latlng));
    this.dragSplit();
    for (const button of document.querySelectorAll(".tools button, .dates button")) {
      // After a click with the mouse, keys belong to the page again.
      button.addEventListener("click", (event) => event.detail > 0 && button.blur());
    }
  }

  dragSplit() {
    const handle = $("split");
    const box = handle.parentElement;
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const { left, width } = box.getBoundingClientRect();
      this.part(Math.min(Math.max((event.clientX - left) / width, 0), 1));
    });
  }

  where(latlng) {
    const [lon, lat] = lonlat(this.site, [latlng.lng, latlng.lat]);
    $("where").textContent = `${lat.toFixed(5)}° ${lon.toFixed(5)}°`;
  }

  mode(mode) {
    this.state.mode = mode;
    this.upper = true;
    if (!this.other()) this.state.with = this.before(this.at())?.scene ?? null;
    this.show();
  }

  part(share) {
    this.state.part = Math.round(share * 100) / 100;
    this.controls(this.at(), this.other());
    clearTimeout(this.writing);
    this.writing = setTimeout(() => this.write(), 200);
  }

  flick() {
    if (this.state.mode !== "flicker") this.mode("flicker");
    this.upper = !this.upper;
    this.marks();
    this.controls(this.at(), this.other());
    if (!this.beat) say(day(this.shown().datetime));
  }

  play() {
    this.beat = setInterval(() => this.flick(), BEAT);
    $("play").textContent = "Stop";
  }

  rest() {
    clearInterval(this.beat);
    this.beat = null;
    $("play").textContent = "Start";
  }

  editing(on) {
    if (on) this.measure.toggle(false);
    $("seen").hidden = on;
    $("look").hidden = on;
  }

  save() {
    const { mode, part } = this.state;
    const looks = mode === "one" ? [this.at()] : mode === "flicker" ? [this.shown()] : [this.other(), this.at()].filter(Boolean);
    return save(this.map, { looks, mode, part, upper: this.upper });
  }

  arrived() {
    const given = address.read();
    if (given.at === this.state.at && given.thing === this.state.thing) return;
    Object.assign(this.state, chosen(this.site, given));
    if (given.view) this.map.setView(given.view);
    this.show();
  }

  key(event) {
    const target = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select")) return;
    const pressed = target.closest("button, a, summary, input");
    if (pressed && (event.key === " " || event.key === "Enter")) return;
    const arrow = event.key.startsWith("Arrow");
    if (arrow && target.closest("input, .leaflet-marker-icon")) return;
    if (this.editor.key(event) || this.measure.key(event)) {
      event.preventDefault();
      return;
    }
    if (this.act(event)) event.preventDefault();
  }

  act(event) {
    const pan = { ArrowLeft: [-120, 0], ArrowRight: [120, 0], ArrowUp: [0, -120], ArrowDown: [0, 120] }[event.key];
    if (pan && event.shiftKey) this.map.map.panBy(pan);
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else if (event.key === " ") this.flick();
    else if (event.key === "+" || event.key === "=") this.map.map.zoomIn(0.5);
    else if (event.key === "-") this.map.map.zoomOut(0.5);
    else if (event.key === "0") this.map.fit();
    else if (event.key === "m") this.measure.toggle();
    else if (event.key === "e") this.save();
    else return false;
    return true;
  }
}

/** What the address asks for, as far as the site has it. */
function chosen(site, given) {
  const known = (scene) => site.looks.some((look) => look.scene === scene);
  const last = site.looks.filter((look) => look.status === "used").at(-1) || site.looks.at(-1);
  const thing = site.observations.find((one) => one.id === given.thing);
  const part = Number(given.part);
  return {
    at: known(given.at) ? given.at : last?.scene ?? null,
    with: known(given.with) ? given.with : null,
    mode: ["swipe", "fade", "flicker"].includes(given.mode) ? given.mode : "one",
    part: given.part !== null && part >= 0 && part <= 1 ? part : 0.5,
    thing: thing ? thing.id : null,
    view: given.view,
  };
}

async function open() {
  try {
    const site = await get(siteUrl(decodeURIComponent(location.pathname.split("/")[2])));
    const page = new Page(site, chosen(site, address.read()));
    if (!page.other()) page.state.with = page.at() ? page.before(page.at())?.scene ?? null : null;
    page.show();
    document.body.dataset.ready = "yes";
  } catch (fault) {
    $("site-name").textContent = "This site cannot be shown";
    $("facts").replaceChildren(el("p", { className: "warn", role: "alert" }, fault.message));
  }
}

open();
