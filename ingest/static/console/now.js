// Now: is anyone waiting, and why.

import { arrange, element, put } from "../common/dom.js";
import { Chart } from "./chart.js";
import { age, count, counted, rate, span } from "./figures.js";
import { sentenceOf } from "./why.js";

export const name = "now";
export const title = "Now";
export const live = true;

// id, what it is, its value, what stands below it, the view that tells more
const FIGURES = [
  ["accepted", "accepted in a second", (now) => rate(now.accepted)],
  ["finished", "finished in a second", (now) => rate(now.finished)],
  ["backlog", "messages not finished", (now) => count(now.backlog),
    (now) => `${counted(now.open, "window")} open`, "windows"],
  ["oldest", "the oldest waits", (now) => (now.backlog === 0 ? "–" : age(now.oldest_s)),
    (now) => `a window takes ${age(now.longest_wait_s)} at most`, "windows"],
  ["late", "windows begin late by", (now) => span(now.late_p99_ms),
    (now) => (now.late_p50_ms === null ? "none ended lately" : `99 of 100; half by ${span(now.late_p50_ms)}`)],
  ["running", "windows with handlers", (now) => count(now.running),
    (now) => `${counted(now.slots, "place")}, ${counted(now.workers, "worker")}`, "partitions"],
  ["retrying", "windows to be tried again", (now) => count(now.retrying), null, "windows"],
  ["dead", "dead letters", (now) => count(now.dead), null, "dead"],
  ["replies", "replies not sent", (now) => count(now.replies),
    (now) => (now.undecided === 0 ? "none waits for a person" : `${now.undecided === 1 ? "one waits" : `${count(now.undecided)} wait`} for a person`), "replies"],
  ["spool", "messages in this service’s spool", (now) => count(now.spool_messages), null, "spool"],
];
const LINES = ["accepted", "finished"];

export function mount(root, page) {
  const verdict = element("p", "lead");
  verdict.id = "verdict";
  const reasons = element("ul", "reasons");
  reasons.id = "why";
  const told = element("div", "card why", verdict, reasons);
  told.setAttribute("role", "status");
  const figures = FIGURES.map((figure) => makeFigure(figure, page));
  const chart = new Chart("Messages accepted and finished in a second, over two minutes", LINES);
  const most = element("span", "quietly");
  const key = element("p", "key", ...LINES.map((line) => element("span", line, line)), most);
  root.append(
    told,
    element("dl", "facts", ...figures.map((one) => one.frame)),
    element("figure", "card flow", element("figcaption", "", "Per second, in the last two minutes", key), chart.frame),
  );
  return {
    take(now) {
      put(verdict, verdictOf(now));
      told.dataset.tone = now.why.length > 0 || now.undecided > 0 ? "bad" : "good";
      showReasons(reasons, now.why);
      for (const figure of figures) figure.show(now);
      const series = LINES.map((_line, at) => now.history.map((point) => point[at]));
      put(most, `at most ${rate(chart.draw(series))}`);
    },
  };
}

function makeFigure([id, text, tell, tellMore, view], page) {
  const figure = element("dd", "figure", "–");
  figure.id = id;
  const more = element("dd", "more", "");
  const head = element("dt", "");
  const linked = page.hasView(view);
  if (linked) {
    const link = element("a", "", text);
    link.href = page.addressOf(view);
    head.append(link);
  } else {
    head.append(text);
  }
  return {
    frame: element("div", linked ? "linked" : "", head, figure, more),
    show(now) {
      put(figure, tell(now));
      put(more, tellMore?.(now) ?? "");
    },
  };
}

function verdictOf(now) {
  if (now.why.length > 0) return now.backlog > 0 ? "Somebody waits." : "Whoever writes now will wait.";
  if (now.undecided > 0) return now.undecided === 1 ? "A reply waits for a person." : `${count(now.undecided)} replies wait for a person.`;
  return now.backlog > 0 ? "Nobody waits longer than windows take." : "Nobody waits.";
}

function showReasons(list, why) {
  const items = why.map((_reason, at) => list.children[at] ?? element("li", ""));
  why.forEach((reason, at) => put(items[at], sentenceOf(reason)));
  arrange(list, items);
}
