// What has happened, line by line, under the names that the service's own log has.

import { entryMs, membersOf, outside } from "./state.js";

const REASONS = {
  max_wait: "its time was over",
  max_messages: "it was full",
  quiet: "nothing came for a while",
  flush: "a stop word ended it",
  bypass: "a command, handled alone",
  pass_through: "each message is handled alone",
  clock: "Redis's clock had stepped",
  replay: "it was replayed",
};

export function reasonText(reason) {
  return REASONS[reason] ?? reason;
}

/** With a tenth, so that a countdown does not jump. */
export function seconds(ms) {
  return (ms / 1000).toFixed(ms >= 99_950 ? 0 : 1);
}

export function counted(count, one, others = `${one}s`) {
  return `${count} ${count === 1 ? one : others}`;
}

/** Lines `{key, at, name, detail, text, tone}`, oldest first; `at`: ms since the window opened. */
export function tellStory(conversation, ahead_ms) {
  const lines = [];
  for (const [index, window] of conversation.windows.entries()) {
    const members = membersOf(conversation, window);
    const own = [
      ...members.flatMap((message) => tellMessage(message, ahead_ms)),
      ...tellWindow(window, members.length),
    ];
    own.sort((one, other) => one.at - other.at || one.rank - other.rank);
    own.forEach((line, place) =>
      lines.push({ ...line, at: line.at - window.opened_at, isFirst: place === 0 && index > 0 }));
  }
  for (const message of outside(conversation)) {
    for (const line of tellMessage(message, ahead_ms)) lines.push({ ...line, at: null });
  }
  return lines;
}

function tellMessage(message, ahead_ms) {
  const { id, text, state, entry, took_ms, copies } = message;
  const said = `“${shortened(text)}”`;
  const lines = [];
  if (state === "spooled") {
    const kept = `${said} is on disk, then answered 202: Redis takes nothing now`;
    lines.push({ key: `${id} spooled`, at: 0, rank: 0, name: "message.spooled", text: kept });
  } else if (entry !== null) {
    const took = took_ms === undefined ? "" : ` (${Math.max(1, Math.round(took_ms))} ms)`;
    const kept = `${said} is in Redis, then answered 202${took}`;
    const name = "message.accepted";
    lines.push({ key: id, at: entryMs(entry), rank: 0, name, detail: entry, text: kept });
  }
  for (const [copy, { at }] of copies.entries()) {
    const again = `${said} came again: its id is known, so it stays one entry`;
    const name = "message.duplicate";
    lines.push({ key: `${id} ${copy}`, at: at + ahead_ms, rank: 0, name, text: again });
  }
  return lines;
}

function tellWindow(window, count) {
  const { window_id: id, opened_at, closed_at, closed_by, started_at, attempt } = window;
  const lines = [{
    key: `${id} opened`, at: opened_at, rank: 1, name: "window.opened", detail: `${id.slice(0, 8)}…`,
    text: "by the first message; those that follow join it",
  }];
  if (closed_at !== undefined) {
    lines.push({
      key: `${id} closed`, at: closed_at, rank: 2, name: "window.closed", tone: "turn",
      detail: `reason=${closed_by} count=${count}`, text: reasonText(closed_by),
    });
  }
  for (const failure of window.failures ?? []) {
    lines.push({
      key: `${id} failed ${failure.attempt}`, at: failure.at ?? started_at, rank: 3, tone: "bad",
      name: "handler.retry", text: `attempt ${failure.attempt}: ${failure.error}`,
    });
  }
  if (started_at !== undefined && attempt !== undefined) {
    const after = `${Math.max(0, started_at - closed_at)} ms after it closed`;
    const detail = attempt > 1 ? `attempt=${attempt}` : "";
    const text = attempt > 1 ? "called again, with the same window" : `called once with all of it, ${after}`;
    lines.push({ key: `${id} ${attempt}`, at: started_at, rank: 4, name: "handler", detail, text });
  }
  if (window.state === "ended") lines.push(tellEnd(window, count));
  return lines;
}

function tellEnd(window, count) {
  const { window_id: id, outcome, ended_at, started_at } = window;
  const line = { key: `${id} ended`, at: ended_at ?? started_at, rank: 5 };
  if (outcome === "dead") {
    const text = `given up, and kept whole as a dead letter: ${window.error ?? "no attempt succeeded"}`;
    return { ...line, name: "window.dead", tone: "bad", text };
  }
  if (window.replies.length === 0) {
    return { ...line, name: "window.finished", text: `without a reply: ${outcome}` };
  }
  const [{ state }] = window.replies;
  const name = state === "sent" ? "reply.sent" : "reply.kept";
  const after = `${Math.max(0, line.at - started_at)} ms after the call`;
  const text = `one reply to ${counted(count, "message")}, ${after}`;
  return { ...line, name, tone: "good", text };
}

function shortened(text) {
  const chars = Array.from(text);
  return chars.length > 40 ? `${chars.slice(0, 39).join("")}…` : text;
}
