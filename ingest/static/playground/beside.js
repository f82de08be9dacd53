// Beside the conversation: how much came of how little, what shapes windows, and what happens.

import { arrange, element, part, put, write } from "../common/dom.js";
import { isSettled, tallyOf } from "./state.js";
import { counted, seconds, tellStory } from "./story.js";

const made = new Map();

export function forgetStory() {
  made.clear();
}

export function showTally(conversation) {
  const { messages, answered, calls, replies } = tallyOf(conversation);
  write("messages", String(messages));
  write("calls", String(calls));
  write("replies", String(replies));
  write("otherwise", answered > replies && isSettled(conversation)
    ? `A bot that answers each webhook alone would have replied ${answered} times.` : "");
  const last = conversation.windows.at(-1)?.replies.at(-1);
  if (last?.texts) write("said", `One reply: ${last.texts.join(" ")}`);
}

export function showStory(conversation) {
  const lines = tellStory(conversation, conversation.clock?.ahead_ms ?? 0);
  const items = lines.map((line) => {
    const item = made.get(line.key) ?? newLine();
    made.set(line.key, item);
    item.dataset.tone = line.tone ?? "";
    item.classList.toggle("first", line.isFirst === true);
    const [at, head, text] = item.children;
    put(at, line.at === null ? "" : `${seconds(Math.max(0, line.at))} s`);
    put(head.firstChild, line.name);
    put(head.lastChild, line.detail ?? "");
    put(text, line.text);
    return item;
  });
  arrange(part("story"), items);
}

function newLine() {
  const head = element("p", "", element("code", ""), " ", element("small", ""));
  return element("li", "", element("time", ""), head, element("p", ""));
}

export function showRules(rules) {
  write("rules", rulesText(rules));
}

function rulesText({ max_wait_ms, max_messages, quiet_ms, pass_through, paused, handler }) {
  if (paused) return "Paused: what you write is kept, and handled when somebody resumes it.";
  const who = handler === "echo"
    ? "echo, which repeats what it is given; INTURN_HANDLER names yours."
    : `your own (${handler}).`;
  if (pass_through) return `Each message is handled alone (pass_through). The handler is ${who}`;
  const quiet = quiet_ms > 0 ? `, ${quiet_ms / 1000} s after its last one,` : "";
  const full = counted(max_messages, "message");
  const closes = `A window closes ${max_wait_ms / 1000} s after its first message${quiet} or with ${full}.`;
  return `${closes} The handler is ${who}`;
}
