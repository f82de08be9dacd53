// Now: is anyone waiting, and why.

import { element, put } from "../common/dom.js";
import { age, count } from "./figures.js";

export const name = "now";
export const title = "Now";
export const live = true;

const FIGURES = [
  ["backlog", "messages not finished", (data) => count(data.backlog_messages)],
  ["oldest", "the oldest has waited", (data) => (data.backlog_messages ? age(data.oldest_unfinished_s) : "–")],
  ["dead", "dead letters", (data) => count(data.dead_letters)],
  ["replies", "replies not sent", (data) => count(data.replies_unsent)],
];

export function mount(root) {
  const shown = FIGURES.map(([key, text, tell]) => {
    const figure = element("dd", "figure", "–");
    figure.id = key;
    return { row: element("div", "", element("dt", "", text), figure), figure, tell };
  });
  root.append(element("dl", "facts", ...shown.map((one) => one.row)));
  return {
    take(data) {
      for (const { figure, tell } of shown) put(figure, tell(data));
    },
  };
}
