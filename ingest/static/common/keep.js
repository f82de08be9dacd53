// What this browser keeps between visits. Where storage is forbidden, it lasts as long as the page.

const inMemory = new Map();

export function keep(name, value) {
  inMemory.set(name, value);
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Private windows and full disks: the page works on, and forgets at its end.
  }
}

export function kept(name) {
  try {
    const text = localStorage.getItem(name);
    return text === null ? inMemory.get(name) : JSON.parse(text);
  } catch {
    return inMemory.get(name);
  }
}

/** 128 random bits. `crypto.randomUUID` is missing where a clinic's network has no https. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
