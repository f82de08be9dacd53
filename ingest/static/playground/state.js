// What the page knows of its conversation, and what an answer of the service adds to it. Plain
// values, so that a reload finds them again: texts are known here alone, the service tells none.

const UNSTARTED = ["waiting", "in_window"];
const REPLY_MOVES = ["waiting", "sending", "retrying"];

export function newConversation(user) {
  return { user, messages: [], windows: [], clock: null };
}

export function addMessage(conversation, id, text, at) {
  const message = { id, text, sent_at: at, state: "sending", entry: null, window: null, copies: [] };
  conversation.messages.push(message);
  return message;
}

/** The service took it, `begun` and `took_ms` by this browser's clock. */
export function noteAccepted(conversation, message, accepted, begun, took_ms) {
  if (accepted.duplicate) message.copies.push({ at: begun + took_ms });
  // The first answer was lost on its way: what came again is known all the same.
  if (message.entry !== null) return;
  message.state = accepted.spooled ? "spooled" : "kept";
  message.entry = accepted.entry_id;
  if (accepted.duplicate || accepted.entry_id === null) return;
  message.took_ms = took_ms;
  // An entry's id is Redis's time at that moment: the shorter the way, the surer the difference.
  const { clock } = conversation;
  if (clock !== null && clock.took_ms <= took_ms) return;
  conversation.clock = { ahead_ms: entryMs(message.entry) - (begun + took_ms / 2), took_ms };
}

export function entryMs(entry) {
  return Number(entry.split("-")[0]);
}

/** Redis's time, as far as it is known. */
export function redisNow(conversation, now = Date.now()) {
  return now + (conversation.clock?.ahead_ms ?? 0);
}

/**
 * Take what `/api/v1/conversations` tells. What it has forgotten meanwhile stays as it was. A window
 * may have been started between its look at windows and its look at messages; what waits then is
 * no member of that one.
 */
export function takeFace(conversation, face) {
  const next = face.windows.find((window) => ["open", "closed"].includes(window.state));
  const isStarted = ({ state, window_id }) => !UNSTARTED.includes(state) && window_id === next?.window_id;
  let room = (next?.messages ?? 0) - face.messages.filter(isStarted).length;
  for (const window of face.windows) {
    Object.assign(windowOf(conversation, window.window_id), window);
  }
  for (const trace of face.messages) {
    const message = conversation.messages.find(
      (one) => one.entry === trace.entry_id || one.id === trace.message_id,
    );
    if (message === undefined) continue;
    message.entry = trace.entry_id;
    message.state = "kept";
    if (UNSTARTED.includes(trace.state)) {
      message.window = room > 0 ? next.window_id : null;
      room -= 1;
    } else {
      message.window = trace.window_id ?? message.window;
      followWindow(conversation, trace);
    }
  }
  for (const reply of face.replies) takeReply(conversation, reply);
  conversation.windows.sort((one, other) => one.opened_at - other.opened_at);
}

function windowOf(conversation, id) {
  let window = conversation.windows.find((one) => one.window_id === id);
  if (window === undefined) {
    window = { window_id: id, state: "open", replies: [] };
    conversation.windows.push(window);
  }
  return window;
}

/** What one of its messages tells of a window that was started. */
function followWindow(conversation, trace) {
  if (trace.window_id === undefined) return;
  const window = windowOf(conversation, trace.window_id);
  const told = ["opened_at", "closed_at", "closed_by", "started_at", "attempt", "failures", "error"];
  for (const name of [...told, "dead_letter_id"]) {
    if (trace[name] !== undefined) window[name] = trace[name];
  }
  if (["running", "retrying"].includes(trace.state)) return;
  window.state = "ended";
  window.outcome = trace.state;
  window.ended_at ??= trace.at;
}

function takeReply(conversation, reply) {
  const window = conversation.windows.find((one) => one.window_id === reply.window_id);
  if (window === undefined) return;
  const known = window.replies.find((one) => one.reply_id === reply.reply_id);
  if (known === undefined) window.replies.push(reply);
  else Object.assign(known, reply, { texts: reply.texts ?? known.texts });
}

export function membersOf(conversation, window) {
  return conversation.messages.filter((message) => message.window === window.window_id);
}

/** Messages that no window has yet: on their way, or behind a window of this user in hand. */
export function outside(conversation) {
  return conversation.messages.filter((message) => message.window === null);
}

/** Whether nothing will change before the next message. */
export function isSettled({ messages, windows }) {
  const isDone = ({ state, replies }) =>
    state === "ended" && !replies.some((reply) => REPLY_MOVES.includes(reply.state));
  return (
    windows.every(isDone) &&
    messages.every(({ state, window }) => state === "refused" || window !== null)
  );
}

/**
 * How many messages there are, how often the handler was called, how many replies came of it, and
 * how many messages those replies are for.
 */
export function tallyOf(conversation) {
  const { messages, windows } = conversation;
  const replied = windows.filter(({ replies }) => replies.length > 0);
  return {
    messages: messages.filter(({ entry }) => entry !== null).length,
    answered: replied.reduce((sum, window) => sum + membersOf(conversation, window).length, 0),
    calls: windows.reduce((sum, window) => sum + (window.attempt ?? 0), 0),
    replies: windows.reduce((sum, { replies }) => sum + replies.length, 0),
  };
}
