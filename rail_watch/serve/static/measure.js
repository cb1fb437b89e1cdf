// Measuring on the ground, in metres; by mouse, finger, or keys and the cross in the middle.

import { latlng } from "./map.js";
import { metres, say } from "./words.js";

const L = window.L;

export class Measure {
  constructor(siteMap, box, cross, button) {
    Object.assign(this, { siteMap, box, cross, button });
    this.points = [];
    this.on = false;
    this.layer = L.layerGroup();
    siteMap.map.on("click", (event) => this.on && this.add([event.latlng.lng, event.latlng.lat]));
    button.addEventListener("click", () => this.toggle());
  }

  toggle(on = !this.on) {
    this.on = on;
    this.points = [];
    this.button.setAttribute("aria-pressed", String(on));
    this.box.hidden = !on;
    this.cross.hidden = !on;
    this.siteMap.map.getContainer().classList.toggle("drawing", on);
    if (on) this.layer.addTo(this.siteMap.map);
    else this.layer.remove();
    this.show();
  }

  add(point) {
    this.points.push(point);
    this.show();
  }

  /** Return whether a key was meant for this. */
  key(event) {
    if (!this.on) return false;
    if (event.key === "Enter") {
      const centre = this.siteMap.map.getCenter();
      this.add([centre.lng, centre.lat]);
    } else if (event.key === "Backspace") {
      this.points.pop();
      this.show();
    } else if (event.key === "Escape") this.toggle(false);
    else return false;
    return true;
  }

  length() {
    return this.points.slice(1).reduce((sum, [x, y], i) => sum + Math.hypot(x - this.points[i][0], y - this.points[i][1]), 0);
  }

  show() {
    this.layer.clearLayers();
    if (!this.on) return;
    const path = this.points.map(latlng);
    L.polyline(path, { color: "#0b1117", weight: 5, opacity: 0.7, interactive: false }).addTo(this.layer);
    L.polyline(path, { color: "#ffe14d", weight: 2.5, interactive: false }).addTo(this.layer);
    for (const point of path) L.circleMarker(point, { radius: 4, color: "#0b1117", weight: 1.5, fillColor: "#ffe14d", fillOpacity: 1, interactive: false }).addTo(this.layer);
    const words = this.points.length < 2 ? "Click two or more points on the map" : metres(this.length());
    const last = this.points.slice(-2);
    const piece = this.points.length > 2 ? ` (last piece ${metres(Math.hypot(last[1][0] - last[0][0], last[1][1] - last[0][1]))})` : "";
    this.box.textContent = words + piece;
    if (this.points.length > 1) say(words);
  }
}
