// The parts of a page.

export function part(id) {
  return document.getElementById(id);
}

/** Write `text` where it differs: what is read aloud is read once. */
export function write(id, text) {
  const found = part(id);
  if (found.textContent !== text) found.textContent = text;
}

/** Of the parts with `data-view`, show those of this view alone. */
export function showView(view) {
  for (const section of document.querySelectorAll("[data-view]")) {
    section.hidden = section.dataset.view !== view;
  }
}

/** Begin the animation that `name` has in the stylesheet, also where it has just run. */
export function animate(element, name) {
  element.classList.remove(name);
  void element.offsetWidth; // asking for the layout is what makes it begin anew
  element.classList.add(name);
}
