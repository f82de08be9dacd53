// The conversation as one sees it: each window a frame around its messages, its reply below.
// Parts are made once and written to where they differ; texts become text nodes only.

import { arrange, element, part, put } from "../common/dom.js";
import { membersOf, outside, redisNow } from "./state.js";
import { counted, reasonText, seconds } from "./story.js";

const made = new Map();

/** The element of this key, made by `make` where there is none. */
function once(key, make) {
  if (!made.has(key)) made.set(key, make());
  return made.get(key);
}

export function forgetChat() {
  made.clear();
  part("windows").replaceChildren();
}

export function showChat(conversation, rules) {
  const items = [];
  for (const window of conversation.windows) {
    items.push(showWindow(conversation, window, rules));
    for (const reply of window.replies) items.push(showReply(conversation, window, reply));
  }
  const rest = outside(conversation);
  if (rest.length > 0) items.push(showOutside(rest));
  arrange(part("windows"), items);
}

function showWindow(conversation, window, rules) {
  const frame = once(`window ${window.window_id}`, () => {
    const head = element("p", "head", element("strong", ""), element("span", "left"));
    const drain = element("div", "drain", element("i", ""));
    drain.setAttribute("aria-hidden", "true");
    return element("li", "window", head, drain, element("ol", ""), element("p", "foot"));
  });
  const members = membersOf(conversation, window);
  frame.dataset.state = window.state;
  frame.dataset.outcome = window.outcome ?? "";
  put(frame.querySelector("strong"), titleOf(window));
  put(frame.querySelector(".foot"), footOf(window, members.length));
  arrange(frame.querySelector("ol"), members.map(showMessage));
  showLeft(frame, conversation, window, members.length, rules);
  return frame;
}

/** How long the window stays open, and what else would close it. */
function showLeft(frame, conversation, window, count, rules) {
  const left = frame.querySelector(".left");
  const bar = frame.querySelector(".drain i");
  if (window.state === "retrying") {
    put(left, `again in ${seconds(Math.max(0, window.due_at - redisNow(conversation)))} s`);
  } else if (window.state === "open") {
    const left_ms = Math.max(0, window.due_at - redisNow(conversation));
    const more = Math.max(1, rules.max_messages - count);
    put(left, left_ms === 0 ? "closing" : `closes in ${seconds(left_ms)} s, or with ${more} more`);
    bar.style.transform = `scaleX(${Math.min(1, left_ms / (window.due_at - window.opened_at))})`;
  } else {
    put(left, counted(count, "message"));
    bar.style.transform = `scaleX(${window.state === "running" ? 1 : 0})`;
  }
}

function titleOf({ state, outcome, attempt }) {
  if (state === "open") return "Window open";
  if (state === "closed") return "Window closed";
  if (state === "running") return attempt > 1 ? `With your handler, attempt ${attempt}` : "With your handler";
  if (state === "retrying") return `Attempt ${attempt} failed`;
  if (outcome === "dead") return "Given up, and kept";
  return attempt > 1 ? `Handled, at attempt ${attempt}` : "Handled once";
}

function footOf(window, count) {
  const { state, outcome, closed_by, opened_at, closed_at, error = "" } = window;
  if (state === "retrying") return error;
  if (outcome === "dead") return `${error} Hand it over again: inturn dead replay ${window.dead_letter_id}`;
  if (closed_at === undefined) return "";
  const after = `closed after ${seconds(closed_at - opened_at)} s`;
  if (closed_by === "max_wait") return `${after}: ${reasonText(closed_by)}`;
  if (closed_by === "max_messages") return `${after}, with message ${count}: ${reasonText(closed_by)}`;
  return `closed: ${reasonText(closed_by)}`;
}

function showMessage(message) {
  const item = once(`message ${message.id}`, () =>
    element("li", "mine", element("p", "", message.text), element("small", "")));
  item.dataset.state = message.state;
  item.firstChild.dir = "auto";
  put(item.lastChild, markOf(message));
  return item;
}

function markOf({ state, copies }) {
  const deliveries = copies.length === 1 ? "twice" : `${copies.length + 1} times`;
  if (copies.length > 0) return `delivered ${deliveries}, kept once`;
  return { sending: "on its way", spooled: "kept on disk", refused: "not accepted" }[state] ?? "";
}

function showReply(conversation, window, reply) {
  const item = once(`reply ${reply.reply_id}`, () => element("li", "theirs", element("small", "")));
  const texts = (reply.texts ?? []).map((text, index) =>
    once(`text ${index} ${reply.reply_id}`, () => {
      const bubble = element("p", "", text);
      bubble.dir = "auto";
      return bubble;
    }));
  const count = membersOf(conversation, window).length;
  const answers = `one reply to ${counted(count, "message")}`;
  put(item.firstChild, reply.error ? `${answers}, ${reply.state}: ${reply.error}` : answers);
  arrange(item, [item.firstChild, ...texts]);
  return item;
}

function showOutside(messages) {
  const item = once("outside", () => element("li", "outside", element("ol", "")));
  arrange(item.firstChild, messages.map(showMessage));
  return item;
}
