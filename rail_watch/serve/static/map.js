// The map: pictures of up to two looks in the site's own metres, and the shapes over them.

import { siteUrl, wholeUrl } from "./api.js";
import { STATES, kind, rank, size } from "./words.js";

const L = window.L;
const TILE = 512;
const WIDEST = 1600;
const LINES = {
  o: { color: "#ff7a1a", weight: 5 },
  e: { color: "#53c1f5", weight: 3 },
  u: { color: "#e4e7ea", weight: 3, dashArray: "5 7" },
  n: { color: "#e4e7ea", weight: 1.5, dashArray: "1 5" },
};
const AREAS = {
  o: { color: "#ff7a1a", weight: 2.5, fillOpacity: 0.12 },
  e: { color: "#53c1f5", weight: 1.5, fillOpacity: 0.03, dashArray: "8 4" },
  u: { color: "#e4e7ea", weight: 1.5, fillOpacity: 0.06, dashArray: "3 6" },
  n: { color: "#e4e7ea", weight: 1, fillOpacity: 0, dashArray: "1 5" },
};
const GROUND = { color: "#ffffff", weight: 1, opacity: 0.55, dashArray: "2 6", fill: false, interactive: false };

export const latlng = ([x, y]) => [y, x];

export class SiteMap {
  constructor(site, callbacks) {
    this.site = site;
    this.callbacks = callbacks;
    this.cut = null;
    const [west, south, east, north] = site.bounds;
    this.bounds = L.latLngBounds([south, west], [north, east]);
    this.map = L.map("map", {
      crs: L.CRS.Simple,
      minZoom: -5,
      maxZoom: 5,
      zoomSnap: 0.25,
      zoomDelta: 0.5,
      wheelPxPerZoomLevel: 120,
      keyboard: false,
      attributionControl: false,
      fadeAnimation: false,
      zoomAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      maxBounds: this.bounds.pad(0.6),
    });
    L.control.scale({ imperial: false, maxWidth: 140 }).addTo(this.map);
    for (const [index, name] of ["under", "over"].entries()) {
      const pane = this.map.createPane(name);
      pane.style.zIndex = String(210 + 10 * index);
    }
    // Marks lie in panes of their own: beside a sliding line only those of the date on its right are true.
    this.map.createPane("marks").style.zIndex = "400";
    this.map.createPane("names").style.zIndex = "590";
    this.map.getPane("names").style.pointerEvents = "none";
    this.pictures = { under: null, over: null };
    this.shapes = L.layerGroup().addTo(this.map);
    this.things = L.layerGroup().addTo(this.map);
    this.names = L.layerGroup().addTo(this.map);
    this.labelled = true;
    this.marked = true;
    this.map.on("zoomend", () => this.shown && this.draw(this.shown.look, this.shown.things, this.shown.chosen));
    this.map.on("moveend", () => callbacks.moved());
    this.map.on("move zoom resize zoomend", () => this.split());
    this.map.on("movestart", () => { this.fitted = false; });
    this.fit();
    new ResizeObserver(() => {
      const fitted = this.fitted;
      this.map.invalidateSize({ pan: false });
      if (fitted) this.fit();
    }).observe(this.map.getContainer());
  }

  fit() {
    this.map.fitBounds(this.bounds, { animate: false, padding: [8, 8] });
    this.fitted = true;
  }

  view() {
    const centre = this.map.getCenter();
    return [centre.lng.toFixed(1), centre.lat.toFixed(1), this.map.getZoom().toFixed(2)];
  }

  setView([x, y, zoom]) {
    this.map.setView([y, x], zoom, { animate: false });
  }

  zoomTo(rings) {
    const bounds = L.latLngBounds(rings.flat().map(latlng));
    this.map.flyToBounds(bounds.pad(0.4), { maxZoom: 3, duration: 0.5, animate: this.map.options.zoomAnimation });
  }

  // ---- pictures

  /** Put a look's pixels into a pane; what stood there goes when the new one has come. */
  picture(pane, look) {
    const before = this.pictures[pane];
    if (before && look && before.look === look.look) return before.ready;
    if (!look) {
      before?.layer.remove();
      this.pictures[pane] = null;
      return Promise.resolve();
    }
    const layer = L.layerGroup();
    const image = L.imageOverlay(wholeUrl(this.site.id, look.look), this.bounds, { pane });
    // A step finer than the sensor: the server enlarges better than the browser does.
    const detail = Math.min(Math.max(0, Math.round(Math.log2(1 / look.gsd_m))) + 2, 4);
    const [west, south, east, north] = this.site.bounds;
    const coarse = Math.log2(Math.min(WIDEST / (east - west), WIDEST / (north - south), 2 / look.gsd_m));
    const tiles = L.tileLayer(`${siteUrl(this.site.id)}/looks/${look.look}/{z}/{x}/{y}.webp`, {
      pane,
      tileSize: TILE,
      bounds: this.bounds,
      minZoom: Math.min(Math.ceil(coarse + 0.1), 4),
      maxNativeZoom: detail,
      maxZoom: 6,
      keepBuffer: 1,
    });
    layer.addLayer(image);
    if (detail > coarse) layer.addLayer(tiles);
    const ready = new Promise((resolve) => {
      image.once("load", () => {
        before?.layer.remove();
        this.callbacks.pictured(pane, look, null);
        resolve();
      });
      image.once("error", () => {
        before?.layer.remove();
        layer.remove();
        this.callbacks.pictured(pane, look, wholeUrl(this.site.id, look.look));
        resolve();
      });
    });
    this.pictures[pane] = { look: look.look, layer, ready, tiles };
    layer.addTo(this.map);
    return ready;
  }

  /** Wait until all pixels of the view have come, or for some seconds. */
  async settled() {
    const shown = Object.values(this.pictures).filter(Boolean);
    const tiled = ({ tiles }) => new Promise((resolve) => {
      if (!tiles._map || !tiles.isLoading()) resolve();
      else tiles.once("load", resolve);
    });
    const late = new Promise((resolve) => { setTimeout(resolve, 10_000); });
    await Promise.race([Promise.all(shown.flatMap((one) => [one.ready, tiled(one)])), late]);
  }

  /** Show the upper picture right of a share of the map's width; null: all of it. */
  swipe(share) {
    this.cut = share;
    this.split();
  }

  split() {
    const panes = ["over", "marks", "names"].map((name) => this.map.getPane(name));
    if (this.cut === null) {
      for (const pane of panes) pane.style.clipPath = "";
      return;
    }
    const { x, y } = this.map.getSize();
    const corner = this.map.containerPointToLayerPoint([this.cut * x, 0]);
    const end = this.map.containerPointToLayerPoint([x, y]);
    const points = [[corner.x, corner.y], [end.x, corner.y], [end.x, end.y], [corner.x, end.y]];
    for (const pane of panes) pane.style.clipPath = `polygon(${points.map(([px, py]) => `${px}px ${py}px`).join(",")})`;
  }

  fade(opacity) {
    this.map.getPane("over").style.opacity = String(opacity);
  }

  // ---- shapes

  draw(look, things, chosen) {
    this.shown = { look, things, chosen };
    this.shapes.clearLayers();
    this.things.clearLayers();
    this.map.getPane("marks").style.display = this.marked ? "" : "none";
    const ordered = [...this.site.shapes].sort((a, b) => this.rank(a, look) - this.rank(b, look));
    for (const shape of ordered) this.shape(shape, look);
    for (const thing of things) this.thing(thing, thing.id === chosen);
    this.nameTracks();
  }

  rank(shape, look) {
    if (shape.role === "site") return 0;
    return { n: 1, u: 2, e: 3, o: 4 }[look?.states[shape.id] || "n"];
  }

  shape(shape, look) {
    const state = look?.states[shape.id] || "n";
    if (shape.role === "track" || shape.role === "bridge") {
      const found = this.shown.things.filter((thing) => thing.kind !== "change").map((thing) => thing.metres[0]);
      const path = (state === "o" ? outside(shape.metres, found) : [shape.metres]).map((piece) => piece.map(latlng));
      // Lines grow thinner as the tracks draw closer together on the screen.
      const thin = Math.min(Math.max((this.map.getZoom() + 2) / 3, 0.45), 1);
      L.polyline(path, { pane: "marks", color: "#0b1117", weight: thin * (LINES[state].weight + 3), opacity: 0.55, interactive: false }).addTo(this.shapes);
      const line = L.polyline(path, { pane: "marks", ...LINES[state], weight: thin * LINES[state].weight, className: `track state-${state}` }).addTo(this.shapes);
      line.bindTooltip(this.told(shape, look), { sticky: true });
    } else if (shape.role === "apron") {
      const area = L.polygon(shape.metres.map((ring) => ring.map(latlng)), { pane: "marks", ...AREAS[state], className: `apron state-${state}` }).addTo(this.shapes);
      area.bindTooltip(this.told(shape, look), { sticky: true });
    } else if (shape.role === "site") {
      L.polygon(shape.metres.map((ring) => ring.map(latlng)), { pane: "marks", ...GROUND }).addTo(this.shapes);
    }
  }

  told(shape, look) {
    const state = look?.states[shape.id];
    const limit = look?.limits[shape.id];
    const unit = shape.role === "apron" ? "m²" : "m";
    const words = state ? STATES[state] : "no look";
    return text(`${shape.short}: ${words}${state === "e" && limit ? `; ${Math.round(limit)} ${unit} would have shown` : ""}`);
  }

  thing(thing, chosen) {
    const path = thing.metres.map((ring) => ring.map(latlng));
    if (chosen) L.polygon(path, { pane: "marks", color: "#0b1117", weight: 8, fill: false, interactive: false }).addTo(this.things);
    const outline = L.polygon(path, {
      pane: "marks",
      color: chosen ? "#ffe14d" : "#fff3e6",
      weight: chosen ? 4 : 2,
      fillColor: "#ff7a1a",
      fillOpacity: 0.12,
      className: "thing",
    }).addTo(this.things);
    outline.on("click", () => this.callbacks.picked(thing.id));
    outline.bindTooltip(text(`${kind(thing.kind)}: ${size(thing)}`), { sticky: true });
  }

  nameTracks() {
    this.names.clearLayers();
    if (!this.labelled || !this.marked || !this.shown) return;
    const { look, things, chosen } = this.shown;
    const near = this.map.getZoom() >= 0.5;
    const tracks = this.site.shapes.filter((shape) => ["track", "bridge"].includes(shape.role));
    const taken = [];
    const put = (point, words, className, offset = [0, 0]) => {
      const at = this.map.latLngToContainerPoint(latlng(point)).add(offset);
      const half = [3.4 * words.length + 8, 11];
      if (taken.some(([x, y, w]) => Math.abs(x - at.x) < w + half[0] && Math.abs(y - at.y) < 22)) return;
      taken.push([at.x, at.y, half[0]]);
      const icon = L.divIcon({ className: `name ${className}`, html: text(words), iconSize: null });
      L.marker(this.map.containerPointToLatLng(at), { icon, pane: "names", interactive: false, keyboard: false }).addTo(this.names);
    };
    for (const thing of [...things].sort((a, b) => (b.id === chosen) - (a.id === chosen) || rank(a) - rank(b))) {
      const ring = thing.metres[0];
      const top = ring.reduce((best, point) => (point[1] > best[1] ? point : best));
      put(top, `${kind(thing.kind)} ${size(thing)}`, thing.id === chosen ? "found chosen" : "found", [0, -16]);
    }
    tracks.forEach((shape, index) => {
      const state = look?.states[shape.id] || "n";
      if (!near && state !== "o") return;
      const share = 0.12 + (0.76 * ((index * 0.382) % 1));
      put(along(shape.metres, share), `${shape.short}${state === "u" ? " ?" : ""}`, `state-${state}`);
    });
    for (const shape of this.site.shapes.filter((one) => one.role === "apron")) {
      const state = look?.states[shape.id] || "n";
      if (near) put(middle(shape.metres[0]), shape.short, `state-${state}`);
    }
  }
}

function within([x, y], ring) {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i, i += 1) {
    const [[ax, ay], [bx, by]] = [ring[i], ring[j]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/** The pieces of a line that lie outside some outlines: what stands on a track is to be seen, not drawn over. */
export function outside(path, rings) {
  if (!rings.length) return [path];
  const pieces = [[]];
  for (let i = 0; i + 1 < path.length; i += 1) {
    const [[ax, ay], [bx, by]] = [path[i], path[i + 1]];
    const steps = Math.max(Math.min(Math.ceil(Math.hypot(bx - ax, by - ay)), 4000), 1);
    for (let k = 0; k <= steps; k += 1) {
      const point = [ax + ((bx - ax) * k) / steps, ay + ((by - ay) * k) / steps];
      if (!rings.some((ring) => within(point, ring))) pieces.at(-1).push(point);
      else if (pieces.at(-1).length) pieces.push([]);
    }
  }
  return pieces.filter((piece) => piece.length > 1);
}

export function along(path, share) {
  const lengths = path.slice(1).map((point, i) => Math.hypot(point[0] - path[i][0], point[1] - path[i][1]));
  let left = share * lengths.reduce((sum, length) => sum + length, 0);
  for (const [i, length] of lengths.entries()) {
    if (left <= length && length > 0) {
      const part = left / length;
      return [path[i][0] + part * (path[i + 1][0] - path[i][0]), path[i][1] + part * (path[i + 1][1] - path[i][1])];
    }
    left -= length;
  }
  return path.at(-1);
}

export const middle = (ring) => [0, 1].map((axis) => ring.slice(1).reduce((sum, point) => sum + point[axis], 0) / (ring.length - 1));

/** Leaflet takes HTML: give it text. */
export function text(words) {
  const box = document.createElement("span");
  box.textContent = words;
  return box.innerHTML;
}

/** Metres to longitude and latitude, by the polynomial that the server fitted. */
export function lonlat(site, [x, y]) {
  const { scale, powers, lon, lat } = site.lonlat;
  const terms = powers.map(([i, j]) => (x / scale) ** i * (y / scale) ** j);
  const sum = (factors) => factors.reduce((total, factor, k) => total + factor * terms[k], 0);
  return [sum(lon), sum(lat)];
}
