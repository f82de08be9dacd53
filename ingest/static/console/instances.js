// Instances: what shapes their windows, what waits in them; to change and to pause them.

import { element, put } from "../common/dom.js";
import { openChange } from "./change.js";
import { age, count, span } from "./figures.js";
import { makeFilter } from "./filter.js";
import { named, Table } from "./table.js";

export const name = "instances";
export const title = "Instances";
export const live = true;

const SETTINGS = "/api/v1/instances";

export function mount(root, page) {
  let at = 0;
  let shown = [];
  const filter = makeFilter("Name", page.parts[0] ?? "", (text) => page.watch({ instance: text }));
  const sum = element("p", "quietly");
  sum.id = "sum";
  const table = new Table("Instances", [
    { title: "Instance", kind: "name", show: named((one) => one.instance) },
    { title: "State", kind: "state seldom", show: showState },
    { title: "Not finished", kind: "number", tell: (one) => count(one.messages) },
    { title: "Oldest", kind: "number seldom", tell: (one) => (one.oldest_at === null ? "–" : age((at - one.oldest_at) / 1000)) },
    setting("Mode", "mode", (value) => value.replace("_", " ")),
    setting("Waits", "max_wait_ms", span),
    setting("Messages", "max_messages", count),
    setting("Quiet", "quiet_ms", (value) => (value === 0 ? "off" : span(value))),
    { title: "Handler", kind: "name seldom", show: named((one) => one.handler) },
    { title: "Provider", kind: "name seldom", show: named((one) => one.provider ?? "–") },
    { title: "Steer", kind: "acts", show: (cell, one) => showActs(cell, one, { find, pause, change }) },
  ], (one) => one.instance);
  root.append(element("div", "tools", filter), sum, table.frame);
  page.watch({ instance: page.parts[0] ?? "" });

  /** As the last look has told it: what was shown when a button was made is old. */
  const find = (instance) => shown.find((one) => one.instance === instance);

  async function steer(method, instance, body, say = (text) => page.say(text)) {
    try {
      await page.ask(method, `${SETTINGS}/${encodeURIComponent(instance)}/settings`, { body });
      say("");
      return true;
    } catch (error) {
      say(failureOf(error));
      return false;
    }
  }
  function pause(one) {
    return steer("PUT", one.instance, { paused: one.paused ? null : true });
  }
  function change(one) {
    openChange(root, one, {
      save: (changes, say) => steer("PUT", one.instance, changes, say),
      takeBack: (say) => steer("DELETE", one.instance, undefined, say),
    });
  }
  return {
    take(data) {
      ({ at, instances: shown } = data);
      table.show(shown);
      put(sum, sumOf(data));
    },
  };
}

function failureOf(error) {
  if (error.mayPass) return "It is not known whether that was done: look below, or try again.";
  return error.said ?? "That was refused.";
}

/** A setting in force; what was set at run time is marked. */
function setting(title, key, tell) {
  return {
    title,
    kind: "number seldom",
    show(cell, one) {
      const found = one.settings[key];
      put(cell, tell(key in one ? one[key] : found.value));
      cell.classList.toggle("steered", found.from === "run_time");
      cell.title = found.from === "run_time" ? "set at run time" : "";
    },
  };
}

function showState(cell, one) {
  cell.dataset.state = one.paused ? "paused" : "on";
  put(cell, one.paused ? "paused" : "on");
}

function showActs(cell, one, { find, pause, change }) {
  if (cell.firstChild === null) {
    const pausing = element("button", "plain small", "");
    const changing = element("button", "plain small", "Change");
    for (const button of [pausing, changing]) button.type = "button";
    pausing.addEventListener("click", () => pause(find(cell.dataset.instance)));
    changing.addEventListener("click", () => change(find(cell.dataset.instance)));
    cell.append(pausing, changing);
  }
  cell.dataset.instance = one.instance;
  put(cell.firstChild, one.paused ? "Resume" : "Pause");
  cell.firstChild.setAttribute("aria-label", `${one.paused ? "Resume" : "Pause"} ${one.instance}`);
  cell.lastChild.setAttribute("aria-label", `Change ${one.instance}`);
}

function sumOf({ instances, total }) {
  if (total === 0) return "No instance of that name has written, and the settings name none.";
  const paused = instances.filter((one) => one.paused).length;
  const told = [`${count(total)} instance${total === 1 ? "" : "s"}`];
  if (total > instances.length) told.push(`shown are the ${instances.length} with the most to do: the name finds others`);
  if (paused > 0) told.push(`${count(paused)} of those shown paused`);
  return `${told.join("; ")}.`;
}
