// A finding as a card: what the machine says, what people say of it, and the form to say more.

import { post, readOnly } from "./api.js";
import { clock, el, kind, say, size } from "./words.js";

const NAME = "rail-watch-reviewer";
const VERDICTS = { confirm: "Confirm", reject: "Reject", correct: "Correct", note: "Note" };
const SAID = { confirm: "confirmed", reject: "rejected", correct: "corrected", note: "noted" };

function remembered() {
  try {
    return localStorage.getItem(NAME) || "";
  } catch {
    return "";
  }
}

function range(pair, unit) {
  return pair ? ` (95 %: ${Math.round(pair[0])}–${Math.round(pair[1])}${unit})` : "";
}

function facts(thing) {
  const rows = [];
  if (thing.railcars != null) rows.push(["Railcars", `${thing.railcars}${range(thing.railcars_95, "")}`]);
  if (thing.length_m != null) rows.push(["Length", `${thing.length_m} m${range(thing.length_m_95, " m")}`]);
  if (thing.area_m2 != null) rows.push(["Area", `${thing.area_m2} m²${range(thing.area_m2_95, " m²")}`]);
  if (thing.height_m != null) rows.push(["Height", `${thing.height_m} m`]);
  rows.push(["Likelihood", thing.likelihood], ["p-value", String(thing.p_value)], ["Id", thing.id]);
  return el("dl", { className: "facts" }, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

export function said(reviews) {
  const list = el("ul", { className: "said" });
  for (const one of reviews) {
    const more = [one.railcars != null ? `${one.railcars} railcars` : null, one.length_m != null ? `${one.length_m} m` : null].filter(Boolean).join(", ");
    list.append(
      el("li", { className: one.verdict }, el("strong", {}, `${one.reviewer} ${SAID[one.verdict]}`), more ? `: ${more}` : "", el("span", { className: "muted small" }, ` ${clock(one.at)}`), one.note ? el("p", {}, one.note) : null),
    );
  }
  return list;
}

function form(thing, done) {
  const field = (label, input) => el("label", { className: "field" }, el("span", {}, label), input);
  const verdicts = el("fieldset", { className: "switch" }, el("legend", {}, "Your verdict"));
  for (const [value, words] of Object.entries(VERDICTS)) {
    verdicts.append(el("label", {}, el("input", { type: "radio", name: `verdict-${thing.id}`, value, required: true }), el("span", {}, words)));
  }
  const cars = el("input", { type: "number", min: "0", max: "1000", step: "1", inputMode: "numeric", name: "railcars" });
  const length = el("input", { type: "number", min: "0", max: "100000", step: "0.1", inputMode: "decimal", name: "length_m" });
  const correction = el("div", { className: "pair", hidden: true }, field("Railcars", cars), field("Length, m", length));
  const note = el("textarea", { rows: 2, maxLength: 2000, name: "note" });
  const who = el("input", { type: "text", required: true, maxLength: 100, autocomplete: "name", name: "reviewer", value: remembered() });
  const fault = el("p", { className: "warn", role: "alert" });
  const made = el("form", { className: "review" }, verdicts, correction, field("Note", note), field("Your name", who), fault, el("button", { type: "submit", className: "strong" }, "Keep the review"));
  const verdict = () => made.querySelector("input[type=radio]:checked")?.value;
  verdicts.addEventListener("change", () => {
    correction.hidden = verdict() !== "correct" || thing.kind === "cargo";
  });
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    const number = (input) => (correction.hidden || input.value === "" ? null : Number(input.value));
    const review = { observation: thing.id, verdict: verdict(), reviewer: who.value.trim(), note: note.value.trim(), railcars: number(cars), length_m: number(length) };
    fault.textContent = "";
    try {
      await post("/api/reviews", review);
    } catch (trouble) {
      fault.textContent = trouble.message;
      return;
    }
    try {
      localStorage.setItem(NAME, review.reviewer);
    } catch {
      // A browser may forbid it; the name is then typed again.
    }
    say("The review is kept.");
    await done();
  });
  return made;
}

/** One finding; open with its facts and form where it is the chosen one. */
export function card(thing, reviews, chosen, names, actions) {
  const place = names.get(thing.place) || thing.place || "ground";
  const head = el(
    "button",
    { type: "button", className: "thing-head", ariaExpanded: String(chosen), data: { thing: thing.id }, on: { click: () => actions.pick(thing.id) } },
    el("strong", {}, `${kind(thing.kind)}${size(thing) ? ` · ${size(thing)}` : ""}`),
    el("span", { className: "muted" }, `${place} · ${thing.change === "unknown" ? "" : `${thing.change} · `}${thing.likelihood}`),
    reviews.length ? el("span", { className: `verdict ${reviews.at(-1).verdict}` }, SAID[reviews.at(-1).verdict]) : el("span", { className: "verdict none" }, "not reviewed"),
  );
  const made = el("article", { className: `card thing${chosen ? " chosen" : ""}` }, head);
  if (chosen) {
    made.append(el("p", {}, thing.text), facts(thing));
    if (reviews.length) made.append(said(reviews));
    if (!readOnly) made.append(form(thing, actions.reload));
  }
  return made;
}
