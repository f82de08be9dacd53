// A field that narrows what a view shows, a moment after one has stopped typing.

import { element } from "../common/dom.js";

const PAUSE_MS = 250;

export function makeFilter(label, text, onChange) {
  const field = element("input", "");
  field.type = "search";
  field.value = text;
  field.autocomplete = "off";
  field.spellcheck = false;
  field.id = "filter";
  let waiting;
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => onChange(field.value.trim()), PAUSE_MS);
  });
  return element("label", "filter", element("span", "", label), field);
}
