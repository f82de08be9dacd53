// The spool: what waits on disk while Redis takes nothing.

import { element, put } from "../common/dom.js";
import { age, count, counted } from "./figures.js";
import { refusalOf } from "./decide.js";
import { named, Table } from "./table.js";

export const name = "spool";
export const title = "Spool";
export const live = false;

const LOOK_MS = 2000;
const POLICIES = {
  spool: "While Redis is away, messages are kept on this disk and replayed in order.",
  direct: "While Redis is away, messages are kept on this disk, and handled at once where that is safe.",
  reject: "While Redis is away, messages are refused (ON_OUTAGE=reject): their providers send them again.",
};

export function mount(root, page) {
  const sum = element("p", "lead");
  sum.id = "sum";
  const policy = element("p", "quietly");
  const verdict = element("div", "card verdict", sum, policy);
  verdict.setAttribute("role", "status");
  const folders = new Table("Folders of this machine's spool", [
    { title: "Folder", kind: "name", show: named((one) => one.folder) },
    { title: "Held by", tell: holderOf },
    { title: "Messages", kind: "number", tell: (one) => count(one.messages) },
    { title: "Oldest", kind: "number", tell: (one) => (one.oldest_s === null ? "–" : age(one.oldest_s)) },
    { title: "Size", kind: "number seldom", tell: (one) => size(one.size_bytes) },
    { title: "Damaged", kind: "number seldom", tell: (one) => count(one.damaged) },
    { title: "Refused", kind: "number seldom", tell: (one) => count(one.refused) },
  ], (one) => one.folder);
  const beside = element("p", "quietly", "");
  root.append(verdict, folders.frame, beside);

  async function look() {
    if (document.visibilityState !== "visible") return;
    try {
      const told = await page.ask("GET", "/api/v1/spool");
      page.say("");
      put(sum, sumOf(told));
      put(policy, `${POLICIES[told.on_outage] ?? ""} ${size(told.used_bytes)} of ${size(told.max_bytes)} are used.`.trim());
      folders.show(told.folders);
      put(beside, besideOf(told));
    } catch (error) {
      if (error.status !== 401) page.say(refusalOf(error, ""));
    }
  }
  look();
  const looking = setInterval(look, LOOK_MS);
  return { leave: () => clearInterval(looking) };
}

function sumOf({ messages, oldest_s, folders }) {
  const left = folders.filter((one) => !one.is_ours).reduce((sum, one) => sum + one.messages, 0);
  if (messages === 0 && left === 0) return "Nothing waits on this disk";
  const own = messages > 0 ? `${counted(messages, "message")} ${messages === 1 ? "waits" : "wait"} for Redis, for ${age(oldest_s)}` : "";
  const others = left > 0 ? `${counted(left, "message")} in other folders` : "";
  return [own, others].filter((text) => text !== "").join("; ");
}

function besideOf({ told_by, is_counted, folders }) {
  const counting = is_counted ? "" : "There is more than is read for this page: inturn spool counts it. ";
  const stray = folders.some((one) => one.held_by === null && one.messages > 0)
    ? "What nobody holds is taken over by the next ingest on this machine within seconds, or by inturn spool replay. "
    : "";
  return `${counting}${stray}Told by ${told_by}. Each machine has a spool of its own; inturn_spool_messages tells of all.`;
}

function holderOf(one) {
  if (one.held_by === null) return "nobody";
  return one.is_ours ? "this process" : `process ${one.held_by}`;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1024 ** power;
  return `${power > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}
