// Addresses within the console: `#view/part/part`. They stay in the browser, users' names among them.

/** With the page's own path: a bare `#view` is taken for a link that skips to a part of this page. */
export function addressOf(name, parts) {
  return `${location.pathname}${hashOf(name, parts)}`;
}

export function hashOf(name, parts) {
  return `#${[name, ...parts].map(encodeURIComponent).join("/")}`;
}

/** The view's name and the parts behind it; a part that is no encoded text stays as it is. */
export function placeIn(hash) {
  const [name, ...parts] = hash.replace(/^#/, "").split("/").map(decoded);
  return { name, parts };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
