// Drawing and editing the area of interest; saved as a new version, never over another.

import { get, post, siteUrl } from "./api.js";
import { latlng, lonlat, middle } from "./map.js";
import { el, say } from "./words.js";

const L = window.L;
const LINES = ["track", "bridge"];
const ROLES = ["track", "bridge", "apron", "shed", "stable", "exclude", "site"];
const COLOURS = { site: "#ffffff", track: "#53c1f5", bridge: "#c9a2ff", apron: "#ff7a1a", shed: "#c7cdd3", stable: "#7ddf8a", exclude: "#ff7ba5" };
const clean = (id) => id.toLowerCase().replace(/[^a-z0-9_-]+/g, "-").replace(/^[-_]+/, "").slice(0, 64);

export class AreaEditor {
  constructor(siteMap, box, cross, button, callbacks) {
    Object.assign(this, { siteMap, box, cross, button, callbacks });
    this.layer = L.layerGroup();
    this.on = false;
    this.drawing = null;
    this.chosen = -1;
    button.addEventListener("click", () => this.toggle());
    siteMap.map.on("click", (event) => this.drawing && this.add([event.latlng.lng, event.latlng.lat]));
  }

  async toggle(on = !this.on) {
    if (on) {
      try {
        this.given = await get(`${siteUrl(this.siteMap.site.id)}/area`);
      } catch (fault) {
        say(fault.message);
        return;
      }
      this.header = { ...this.given.area.rail_watch };
      this.features = this.given.area.features.map((feature) => ({ ...feature, moved: false }));
      this.layer.addTo(this.siteMap.map);
    } else this.layer.remove();
    this.on = on;
    this.drawing = null;
    this.chosen = -1;
    this.cross.hidden = true;
    this.message = "";
    this.button.setAttribute("aria-pressed", String(on));
    this.box.hidden = !on;
    this.siteMap.map.getContainer().classList.remove("drawing");
    this.callbacks.toggled(on);
    if (on) {
      this.show();
      this.box.querySelector("button, input")?.focus();
    }
  }

  // ---- drawing

  start(role) {
    this.drawing = { role, points: [] };
    this.chosen = -1;
    this.cross.hidden = false;
    this.siteMap.map.getContainer().classList.add("drawing");
    this.siteMap.map.doubleClickZoom.disable();
    this.show();
    say("Click on the map to set points; or press Enter to set one at the cross. Escape leaves off.");
  }

  add(point) {
    const last = this.drawing.points.at(-1);
    if (last && Math.hypot(point[0] - last[0], point[1] - last[1]) < 0.05) return;
    this.drawing.points.push(point);
    this.show();
  }

  finish() {
    const { role, points } = this.drawing;
    const line = LINES.includes(role);
    if (points.length < (line ? 2 : 3)) {
      this.message = `A ${role} needs at least ${line ? 2 : 3} points.`;
      this.show();
      return;
    }
    const taken = new Set(this.features.map((feature) => feature.properties.id));
    let number = 1;
    while (taken.has(`${role}-${number}`)) number += 1;
    const properties = role === "site" ? { role } : { role, id: `${role}-${number}`, name: `${role[0].toUpperCase()}${role.slice(1)} ${number}` };
    const metres = line ? points : [[...points, points[0]]];
    if (role === "site") this.features = this.features.filter((feature) => feature.properties.role !== "site");
    this.features.push({ type: "Feature", properties, metres, moved: true });
    this.chosen = this.features.length - 1;
    this.stop();
  }

  stop() {
    this.drawing = null;
    this.message = "";
    this.cross.hidden = true;
    this.siteMap.map.getContainer().classList.remove("drawing");
    this.siteMap.map.doubleClickZoom.enable();
    this.show();
  }

  /** Return whether a key was meant for this. */
  key(event) {
    if (!this.on || !this.drawing) return false;
    if (event.key === "Enter") {
      const centre = this.siteMap.map.getCenter();
      this.add([centre.lng, centre.lat]);
    } else if (event.key === "Backspace") {
      this.drawing.points.pop();
      this.show();
    } else if (event.key === "Escape") this.stop();
    else return false;
    return true;
  }

  // ---- shapes on the map

  show() {
    this.layer.clearLayers();
    this.features.forEach((feature, index) => this.outline(feature, index));
    if (this.features[this.chosen]) this.handles(this.features[this.chosen]);
    if (this.drawing) this.draft();
    this.form();
  }

  outline(feature, index) {
    const { role } = feature.properties;
    const chosen = index === this.chosen;
    const style = { color: COLOURS[role] || "#fff", weight: chosen ? 4 : 2, fillOpacity: chosen ? 0.15 : 0.05, dashArray: role === "site" ? "8 5" : null, interactive: role !== "site" && !this.drawing, className: "drawn" };
    const shape = LINES.includes(role) ? L.polyline(feature.metres.map(latlng), style) : L.polygon(feature.metres.map((ring) => ring.map(latlng)), { ...style, fill: role !== "site" });
    shape.on("click", (event) => {
      L.DomEvent.stopPropagation(event);
      this.chosen = index;
      this.show();
    });
    shape.addTo(this.layer);
    feature.shape = shape;
  }

  draft() {
    const path = this.drawing.points.map(latlng);
    L.polyline(path, { color: "#ffe14d", weight: 3, dashArray: "6 4", interactive: false }).addTo(this.layer);
    for (const point of path) L.circleMarker(point, { radius: 4, color: "#0b1117", weight: 1.5, fillColor: "#ffe14d", fillOpacity: 1, interactive: false }).addTo(this.layer);
  }

  path(feature) {
    return LINES.includes(feature.properties.role) ? feature.metres : feature.metres[0];
  }

  handles(feature) {
    const path = this.path(feature);
    const closed = !LINES.includes(feature.properties.role);
    const count = closed ? path.length - 1 : path.length;
    for (let i = 0; i < count; i += 1) this.handle(feature, i, closed);
    for (let i = 0; i + 1 < path.length; i += 1) {
      const between = [(path[i][0] + path[i + 1][0]) / 2, (path[i][1] + path[i + 1][1]) / 2];
      L.marker(latlng(between), { icon: L.divIcon({ className: "handle between", iconSize: [12, 12] }), title: "Set a point here", alt: "Set a point here" })
        .on("click", () => {
          path.splice(i + 1, 0, between);
          feature.moved = true;
          this.show();
        })
        .addTo(this.layer);
    }
  }

  handle(feature, index, closed) {
    const marker = L.marker(latlng(this.path(feature)[index]), { draggable: true, icon: L.divIcon({ className: "handle", iconSize: [16, 16] }), title: `Point ${index + 1}: drag, or move with the arrow keys; Delete takes it away` });
    const move = ([x, y]) => {
      const path = this.path(feature);
      path[index] = [x, y];
      if (closed && index === 0) path[path.length - 1] = [x, y];
      feature.moved = true;
      feature.shape.setLatLngs(closed ? feature.metres.map((ring) => ring.map(latlng)) : path.map(latlng));
    };
    marker.on("drag", () => move([marker.getLatLng().lng, marker.getLatLng().lat]));
    marker.on("dragend", () => this.show());
    marker.addTo(this.layer);
    marker.getElement().addEventListener("keydown", (event) => {
      const step = (event.shiftKey ? 10 : 1) / 2 ** this.siteMap.map.getZoom();
      const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
      const path = this.path(feature);
      if (by) {
        move([path[index][0] + by[0], path[index][1] + by[1]]);
        marker.setLatLng(latlng(path[index]));
      } else if (event.key === "Delete" && path.length > (closed ? 4 : 2)) {
        path.splice(index, 1);
        if (closed && index === 0) path[path.length - 1] = path[0];
        feature.moved = true;
        this.show();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  // ---- the form

  form() {
    const field = (label, input) => el("label", { className: "field" }, el("span", {}, label), input);
    const id = el("input", { type: "text", value: this.header.id, maxLength: 64, on: { change: () => { this.header.id = clean(id.value); id.value = this.header.id; } } });
    const name = el("input", { type: "text", value: this.header.name || "", maxLength: 200, on: { input: () => { this.header.name = name.value; } } });
    const saved = this.given.versions.length ? `Version ${this.given.version} of ${this.given.versions.length} saved here.` : "As it was last judged; nothing saved yet.";
    const message = el("p", { className: this.fine ? "good" : "warn", role: "alert" }, this.message || "");
    this.box.replaceChildren(
      el("h2", {}, "Edit the area"),
      el("p", { className: "muted small" }, `${saved} Saving makes a new file; no other is changed. Another id makes another area.`),
      el("div", { className: "pair" }, field("Id", id), field("Name", name)),
      this.drawing ? this.drawingButtons() : this.addButtons(),
      this.drawing ? "" : this.list(),
      message,
      el("div", { className: "row" },
        el("button", { type: "button", className: "strong", disabled: Boolean(this.drawing), on: { click: () => this.save() } }, "Save as a new version"),
        el("button", { type: "button", on: { click: () => this.toggle(false) } }, "Close")),
    );
    this.fine = false;
  }

  drawingButtons() {
    const { role, points } = this.drawing;
    return el("div", { className: "row" },
      el("p", { className: "grow" }, `${role}: ${points.length} point${points.length === 1 ? "" : "s"}`),
      el("button", { type: "button", className: "strong", on: { click: () => this.finish() } }, "Finish"),
      el("button", { type: "button", on: { click: () => this.stop() } }, "Leave off"));
  }

  addButtons() {
    const role = el("select", { ariaLabel: "What to draw" }, ...ROLES.map((one) => el("option", { value: one }, one)));
    role.value = this.role || "track";
    role.addEventListener("change", () => { this.role = role.value; });
    return el("div", { className: "row" },
      role,
      el("button", { type: "button", on: { click: () => this.start(role.value) } }, "Draw"),
      el("button", { type: "button", on: { click: () => { this.features = []; this.header = { schema: "1", id: "new-area", name: "New area" }; this.chosen = -1; this.show(); } } }, "Start empty"));
  }

  list() {
    const list = el("ul", { className: "features" });
    this.features.forEach((feature, index) => {
      const { role, name, id } = feature.properties;
      const chosen = index === this.chosen;
      const pick = el("button", { type: "button", ariaPressed: String(chosen), on: { click: () => this.pick(index) } }, el("span", { className: `swatch role-${role}`, ariaHidden: "true" }), `${role}${role === "site" ? "" : `: ${name || id}`}`);
      const row = el("li", { className: chosen ? "chosen" : "" }, pick);
      if (chosen && role !== "site") {
        const rename = el("input", { type: "text", value: name || id, maxLength: 200, ariaLabel: "Name of this feature", on: { input: () => { feature.properties.name = rename.value; } } });
        row.append(el("div", { className: "row" }, rename, el("button", { type: "button", on: { click: () => { this.features.splice(index, 1); this.chosen = -1; this.show(); } } }, "Remove")));
      }
      list.append(row);
    });
    return list;
  }

  pick(index) {
    this.chosen = this.chosen === index ? -1 : index;
    this.show();
    const feature = this.features[this.chosen];
    if (feature && feature.properties.role !== "site") {
      const path = this.path(feature);
      const point = LINES.includes(feature.properties.role) ? path[Math.floor(path.length / 2)] : middle(path);
      this.siteMap.map.panInside(latlng(point), { padding: [60, 60] });
    }
    this.box.querySelectorAll(".features > li > button")[index]?.focus();
  }

  async save() {
    const place = (points) => points.map((point) => lonlat(this.siteMap.site, point).map((value) => Number(value.toFixed(8))));
    const features = this.features.map((feature) => {
      const line = LINES.includes(feature.properties.role);
      const geometry = feature.moved ? { type: line ? "LineString" : "Polygon", coordinates: line ? place(feature.metres) : feature.metres.map(place) } : feature.geometry;
      return { type: "Feature", properties: feature.properties, geometry };
    });
    try {
      const saved = await post("/api/areas", { type: "FeatureCollection", rail_watch: this.header, features });
      this.message = `Saved as version ${saved.version}: ${saved.path}. To watch by it: rail-watch site add ${saved.site} --aoi ${saved.path} --source …`;
      this.fine = true;
      say(`Saved as version ${saved.version}.`);
      if (saved.site === this.siteMap.site.id) {
        this.given.versions.push(saved.version);
        this.given.version = saved.version;
      }
    } catch (fault) {
      this.message = fault.message;
    }
    this.show();
  }
}
