// The parts of a page.

export function part(id) {
  return document.getElementById(id);
}

/** A new element; texts among `children` become text nodes. */
export function element(tag, className, ...children) {
  const found = document.createElement(tag);
  if (className !== "") found.className = className;
  found.append(...children);
  return found;
}

/** Write `text` where it differs: what is read aloud is read once. */
export function put(found, text) {
  if (found.textContent !== text) found.textContent = text;
}

export function write(id, text) {
  put(part(id), text);
}

/** Have `parent` hold these children in this order; those that are there already stay untouched. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const gone of Array.from(parent.children).filter((one) => !wanted.has(one))) gone.remove();
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
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
