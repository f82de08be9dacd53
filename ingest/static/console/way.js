// From what the API tells of a conversation to its windows, each with what happened to it in order.

const TITLES = {
  waiting: "Waits to be read",
  in_window: "Gathers",
  running: "With the handler",
  retrying: "To be tried again",
  answered: "Answered",
  sent: "Answered and sent",
  silent: "Finished without a reply",
  muted: "Left to a person: muted",
  with_human: "Left to a person",
  dead: "Given up",
  finished: "Finished",
};
const TONES = { dead: "bad", retrying: "bad", waiting: "open", in_window: "open", running: "open" };
const CLOSED = {
  max_wait: "its time was over",
  max_messages: "it was full",
  quiet: "the user paused",
  flush: "a stop word",
  bypass: "a command",
  pass_through: "each message alone",
  clock: "the clock stepped",
  replay: "it was replayed",
};
const REPLIES = {
  waiting: "The reply waits for its turn",
  kept: "The reply is kept to be read: there is no channel",
  sending: "The reply is on its way",
  retrying: "A send failed; it is tried again",
  held: "The reply is held for a person",
  failed: "The provider refused the reply",
  sent: "The reply was sent",
  discarded: "The reply was discarded",
};

/** The windows of a conversation, oldest first. What is not in one yet is one of its own. */
export function windowsOf({ messages, replies, windows }) {
  const found = [];
  for (const message of messages) {
    const last = found.at(-1);
    if (last !== undefined && belongs(message, last)) last.messages.push(message);
    else found.push({ id: message.window_id ?? null, messages: [message] });
  }
  return found.map(({ id, messages: members }) => {
    const first = members[0];
    const open = windows.find((one) => one.window_id === id);
    const own = replies.filter((reply) => id !== null && reply.window_id === id);
    return {
      id,
      key: id ?? `entry ${first.entry_id ?? first.message_id}`,
      title: TITLES[first.state] ?? first.state,
      tone: TONES[first.state] ?? "good",
      messages: members,
      replies: own,
      steps: stepsOf(members, open, own),
      deadLetter: first.dead_letter_id ?? null,
    };
  });
}

/** Of an open window only the first message's id is certain. */
function belongs(message, window) {
  const last = window.messages.at(-1);
  if (message.window_id !== undefined) return message.window_id === window.id;
  return message.state === last.state && (message.state === "in_window" || message.state === "waiting");
}

function stepsOf(members, open, replies) {
  const first = members[0];
  const steps = [{ at: first.accepted_at ?? null, text: came(members) }];
  if (first.closed_at !== undefined) {
    steps.push({ at: first.closed_at, text: `Closed: ${CLOSED[first.closed_by] ?? first.closed_by}` });
  } else if (open?.state === "open" && open.due_at !== undefined) {
    steps.push({ at: open.due_at, text: "Closes then, or before it when it is full" });
  }
  for (const { attempt, error, at } of first.failures ?? []) {
    steps.push({ at: at ?? null, text: `Attempt ${attempt} came to nothing: ${error}` });
  }
  if (first.started_at !== undefined) steps.push({ at: first.started_at, text: `Attempt ${first.attempt} began` });
  if (first.state === "retrying" && first.retry_at !== undefined) {
    steps.push({ at: first.retry_at, text: "The next attempt begins" });
  }
  if (first.paused_since !== undefined) {
    steps.push({ at: first.paused_since, text: "Its instance is paused: it is kept, and waits" });
  }
  if (first.behind !== undefined) steps.push({ at: null, text: "Waits for the window before it" });
  if (first.state === "dead") steps.push({ at: first.at ?? null, text: `Given up${first.error === undefined ? "" : `: ${first.error}`}` });
  for (const reply of replies) steps.push({ at: reply.at ?? timeOf(reply.reply_id), text: replyText(reply) });
  return steps;
}

/** When the entry of this id was made. */
function timeOf(id) {
  return Number(id.split("-")[0]);
}

function came(members) {
  const one = members.length === 1;
  return one ? "The message was accepted" : `The first of ${members.length} messages was accepted`;
}

function replyText({ state, held, error, attempt }) {
  const why = held ?? error;
  const tries = attempt === undefined || attempt < 2 ? "" : ` (${attempt} tries)`;
  return `${REPLIES[state] ?? state}${tries}${why === undefined ? "" : `: ${why}`}`;
}
