// The list of sites.

import { get, wholeUrl } from "./api.js";
import { clock, el } from "./words.js";

function bar(tracks) {
  const all = tracks.occupied + tracks.empty + tracks.unknown;
  const box = el("span", { className: "bar", ariaHidden: "true" });
  for (const [state, mark] of [["occupied", "o"], ["empty", "e"], ["unknown", "u"]]) {
    const part = el("span", { className: `part ${mark}` });
    part.style.flexGrow = String(tracks[state]);
    if (tracks[state]) box.append(part);
  }
  return all ? box : null;
}

function counted(look) {
  const { occupied, empty, unknown } = look.tracks;
  const cargo = look.aprons_occupied ? `, cargo on ${look.aprons_occupied} apron${look.aprons_occupied === 1 ? "" : "s"}` : "";
  return `Tracks: ${occupied} occupied, ${empty} empty, ${unknown} unknown${cargo}`;
}

function card(site, health) {
  const last = site.last_look;
  const clear = site.last_clear_look;
  const lines = el("div", { className: "card-body" });
  if (!last) lines.append(el("p", { className: "muted" }, "No look yet."));
  else {
    lines.append(el("p", { className: "when" }, `Last look ${clock(last.datetime)}`), el("p", { className: "muted" }, last.sensor));
    if (last.status === "used") lines.append(bar(last.tracks) || "", el("p", {}, counted(last)));
    else {
      lines.append(el("p", { className: "warn" }, `Nothing could be seen: ${last.reason || "no reason given"}.`));
      if (clear) lines.append(el("p", { className: "muted" }, `Last clear: ${clock(clear.datetime)}`), bar(clear.tracks) || "", el("p", {}, counted(clear)));
    }
  }
  if (health && health.fault) lines.append(el("p", { className: "warn" }, `The last check failed: ${health.fault}`));
  const counts = `${site.looks} looks, ${site.looks_clear} of them clear enough to judge; ${site.reviews_missing} finding${site.reviews_missing === 1 ? "" : "s"} not reviewed`;
  lines.append(el("p", { className: "muted small" }, counts));
  const shown = clear || last;
  const picture = shown ? el("img", { className: "glance", alt: "", src: wholeUrl(site.id, shown.look), on: { error: () => picture.remove() } }) : null;
  return el(
    "li",
    { className: "card site" },
    picture,
    el("h2", {}, el("a", { href: `/site/${encodeURIComponent(site.id)}` }, site.name), site.simulated ? el("span", { className: "badge strong" }, "SIMULATED") : null),
    lines,
  );
}

async function show() {
  const health = document.getElementById("health");
  try {
    const [{ sites }, status] = await Promise.all([get("/api/sites"), get("/api/status")]);
    const of = new Map(status.sites.map((one) => [one.aoi, one]));
    document.getElementById("sites").replaceChildren(...sites.map((site) => card(site, of.get(site.id))));
    const ran = status.last_started ? `Last run ${clock(status.last_started)}${status.cut_short ? ", CUT SHORT: run it again" : ""}.` : "Nothing has run yet: rail-watch run --due.";
    health.textContent = ran + (status.waiting_alerts ? ` ${status.waiting_alerts} alerts wait to be sent.` : "");
    const known = new Set(sites.map((site) => site.id));
    const waiting = status.sites.filter((one) => !known.has(one.aoi));
    document.getElementById("quiet").hidden = !waiting.length;
    document.getElementById("waiting").replaceChildren(
      ...waiting.map((one) => el("li", {}, el("strong", {}, one.site), ` — next check ${clock(one.next_check)}`, one.fault ? ` — failed: ${one.fault}` : "")),
    );
  } catch (fault) {
    health.textContent = fault.message;
    health.classList.add("warn");
  }
}

show();
