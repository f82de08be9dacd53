// Windows: what gathers and counts down, what a handler has, what waits for its next attempt.

import { element, put } from "../common/dom.js";
import { age, count } from "./figures.js";
import { makeFilter } from "./filter.js";
import { isolated, named, Table } from "./table.js";

export const name = "windows";
export const title = "Windows";
export const live = true;

const STATES = { open: "open", closed: "due", running: "with a handler", retrying: "to retry" };
const TICK_MS = 100;

export function mount(root, page) {
  const asked = { instance: page.parts[0] ?? "", users: "" };
  let data = null;
  let taken_ms = 0;
  /** Redis's time now, as far as one can tell. */
  const now = () => data.at + performance.now() - taken_ms;

  const filter = makeFilter("Instance", asked.instance, (text) => ask({ instance: text }));
  const users = element("input", "");
  users.type = "checkbox";
  users.id = "users";
  users.addEventListener("change", () => ask({ users: users.checked ? "1" : "" }));
  const label = element("label", "check", users, "Show users");
  const sum = element("p", "quietly");
  sum.id = "sum";
  const table = new Table("Windows", columnsOf(now, page), (one) => `${one.window_id} ${one.behind}`);
  root.append(element("div", "tools", filter, label), sum, table.frame);

  function ask(change) {
    Object.assign(asked, change);
    root.classList.toggle("unnamed", asked.users === "");
    page.watch(asked);
  }
  function show() {
    if (data !== null) table.show(data.windows);
  }
  const ticking = setInterval(show, TICK_MS);
  ask({});
  return {
    take(told) {
      data = told;
      taken_ms = performance.now();
      put(sum, sumOf(told));
      show();
    },
    leave: () => clearInterval(ticking),
  };
}

function columnsOf(now, page) {
  return [
    { title: "State", kind: "state", show: showState },
    { title: "Goes on", kind: "goes", tell: (one) => goesOn(one, now()) },
    { title: "Instance", kind: "name", show: named((one) => one.instance) },
    { title: "User", kind: "name user", show: (cell, one) => showUser(cell, one, page) },
    { title: "Messages", kind: "number", tell: (one) => count(one.messages) },
    { title: "Age", kind: "number", tell: (one) => age((now() - one.opened_at) / 1000) },
    { title: "Closed by", kind: "seldom", tell: (one) => one.closed_by ?? "–" },
    { title: "Attempt", kind: "number seldom", tell: (one) => (one.attempt === null ? "–" : count(one.attempt)) },
    { title: "Window", kind: "id seldom", tell: (one) => one.window_id },
  ];
}

function showState(cell, one) {
  cell.dataset.state = one.state;
  put(cell, STATES[one.state] ?? one.state);
}

function showUser(cell, one, page) {
  if (one.user === undefined) {
    put(cell, "");
    return;
  }
  const address = page.addressOf("conversation", one.instance, one.user);
  const found = cell.querySelector("bdi, a");
  if (found?.textContent === one.user) return;
  const shown = page.hasView("conversation") ? element("a", "", isolated(one.user)) : isolated(one.user);
  if (shown.tagName === "A") shown.href = address;
  cell.replaceChildren(shown);
}

function goesOn(one, now_ms) {
  if (one.paused_since) return "after the pause";
  if (one.behind) return "after the one before";
  if (one.due_at === null) return one.started_at === null ? "–" : `since ${age((now_ms - one.started_at) / 1000)}`;
  const left_ms = one.due_at - now_ms;
  return left_ms > 0 ? `in ${age(left_ms / 1000)}` : "now";
}

function sumOf({ counts, windows, is_whole }) {
  const told = Object.entries(STATES)
    .filter(([state]) => counts[state] > 0)
    .map(([state, text]) => `${count(counts[state])} ${text}`);
  const all = Object.values(counts).reduce((sum, one) => sum + one, 0);
  if (all === 0) return "No window is open or in hand: everything that came is finished.";
  if (all > windows.length) told.push(`shown are the oldest ${count(windows.length)}`);
  if (!is_whole) told.push("there is more than was looked at");
  return `${told.join("; ")}.`;
}
