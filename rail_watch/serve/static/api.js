// Asking the server, and telling it things.

const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;

export const readOnly = meta("read-only") === "yes";

async function answer(response) {
  let body;
  try {
    body = await response.json();
  } catch {
    throw new Error(response.status === 401 ? "A token is needed: open the printed address again." : `The server answered ${response.status}.`);
  }
  if (!response.ok) throw new Error(body.error || `The server answered ${response.status}.`);
  return body;
}

async function reached(request) {
  try {
    return await request;
  } catch {
    throw new Error("The server does not answer; is rail-watch serve still running?");
  }
}

export const get = async (path) => answer(await reached(fetch(path)));

export const post = async (path, body) =>
  answer(
    await reached(
      fetch(path, {
        method: "POST",
        headers: { "content-type": "application/json", "x-csrf-token": meta("csrf") },
        body: JSON.stringify(body),
      }),
    ),
  );

export const siteUrl = (site) => `/api/sites/${encodeURIComponent(site)}`;
export const wholeUrl = (site, look) => `${siteUrl(site)}/looks/${look}/whole.webp`;
