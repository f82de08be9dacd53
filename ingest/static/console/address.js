// Addresses within the console: `#view/part/part`. They stay in the browser, users' names among them.

export function addressOf(name, parts) {
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
