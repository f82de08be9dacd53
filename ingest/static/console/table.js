// A table that is written to where it differs: what has the focus keeps it, and what is selected.

import { arrange, element, put } from "../common/dom.js";

/**
 * `columns`: `{ title, kind, tell(row), show(cell, row) }`. `tell` gives the cell's text; where there
 * is `show`, it writes the cell instead. `kind` is the cell's class: "number", "seldom" (left out on
 * phones) or "name". `keyOf(row)` says which row stays the same one.
 */
export class Table {
  constructor(label, columns, keyOf) {
    this.columns = columns;
    this.keyOf = keyOf;
    this.made = new Map();
    this.body = element("tbody", "");
    const heads = columns.map((column) => {
      const head = element("th", column.kind ?? "", column.title);
      head.scope = "col";
      return head;
    });
    const table = element("table", "", element("thead", "", element("tr", "", ...heads)), this.body);
    table.setAttribute("aria-label", label);
    this.frame = element("div", "table card", table);
    this.frame.tabIndex = 0; // so that the keyboard scrolls it, too
    this.frame.setAttribute("role", "group");
    this.frame.setAttribute("aria-label", label);
  }

  show(rows) {
    const before = this.made;
    this.made = new Map();
    const lines = rows.map((row) => {
      const key = this.keyOf(row);
      const line = before.get(key) ?? this.makeLine();
      this.made.set(key, line);
      this.columns.forEach((column, at) => writeCell(line.children[at], column, row));
      return line;
    });
    arrange(this.body, lines);
    this.frame.hidden = rows.length === 0;
  }

  makeLine() {
    return element("tr", "", ...this.columns.map((column) => element("td", column.kind ?? "")));
  }
}

function writeCell(cell, column, row) {
  if (column.show !== undefined) column.show(cell, row);
  else put(cell, column.tell(row));
}

/** A text that ends where it ends, whatever it is, in a cell. */
export function isolated(text) {
  const found = element("bdi", "");
  found.textContent = text;
  return found;
}

/** `show` for a name that may be anything. */
export function named(tell) {
  return (cell, row) => {
    if (cell.firstChild === null) cell.append(isolated(""));
    put(cell.firstChild, tell(row));
  };
}
