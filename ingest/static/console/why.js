// Why somebody waits, as sentences.

import { age, count, counted, doing, listed } from "./figures.js";

const SENTENCES = {
  no_worker: ({ messages }) =>
    `No worker runs: start inturn consumer. Until then ${doing(messages, "message", "wait")}, and all are kept.`,
  without_owner: ({ partitions, messages }) =>
    `${counted(partitions, "partition")} without an owner, with ${counted(messages, "message")}. A worker takes them over within seconds; if not, inturn doctor says why.`,
  paused: (reason) => `Paused: ${listed(reason)}. What comes is kept, and waits.`,
  unavailable: ({ error, windows, since_s, ...who }) =>
    `The handler cannot be reached (${error})${since_s === null ? "" : `, for ${age(since_s)}`}. ${doing(windows, "window", "wait")} for it, of ${listed(who)}.`,
  failing: ({ error, windows, ...who }) =>
    `The handler fails (${error}). ${doing(windows, "window", "wait")} for the next attempt, of ${listed(who)}.`,
  busy: ({ slots }) => `All ${count(slots)} places for handlers are taken: what closes waits for a free one.`,
  with_handler: ({ since_s, ...who }) =>
    `The oldest window, of ${listed(who)}, has been with its handler for ${age(since_s)}.`,
  overdue: ({ since_s }) =>
    `The oldest message has waited for ${age(since_s)}, and no handler has it: inturn doctor says why.`,
};

/** A reason that this page does not know yet is told by its name. */
export function sentenceOf(reason) {
  return SENTENCES[reason.code]?.(reason) ?? reason.code;
}
