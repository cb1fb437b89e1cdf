// The view in the address, so that a link shows what its sender saw.

export function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const view = (given.get("view") || "").split(",").map(Number);
  return {
    at: given.get("at"),
    with: given.get("with"),
    mode: given.get("mode"),
    part: given.get("part"),
    thing: given.get("thing"),
    view: view.length === 3 && view.every(Number.isFinite) ? view : null,
  };
}

export function write(state) {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value !== null && value !== undefined && value !== "") kept.set(name, String(value));
  const hash = `#${kept}`;
  if (hash !== location.hash) history.replaceState(null, "", hash);
}
