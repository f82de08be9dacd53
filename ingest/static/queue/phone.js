// A person's phone: take a number, and see how far it is.
//
// What this browser knows of its ticket is kept before anything is sent: who reloads, or loses the
// answer, asks with the same user and the same key, and has one number.

import { ask, persistently } from "../common/api.js";
import { part, showView, write } from "../common/dom.js";
import { keep, kept, randomId } from "../common/keep.js";
import { clinic, Queue, showFigure, waitText, words } from "./queue.js";
import { expectedWait_s, placeOf } from "./state.js";

const STORED = `inturn.queue.${clinic}`;
const TURN_MS = [300, 150, 300, 150, 600];

// `isOver`: this number was seen served, so that nobody misses it when numbers begin anew.
const ticket = { user: randomId(), number: null, key: null, isOver: false, ...kept(STORED) };
let view = "loading";
let notice = "";

const queue = new Queue({
  user: ticket.user,
  onState: render,
  onUser: followUser,
  onConnect: () => ticket.number !== null && queue.refresh(),
  onUnknown: () => {
    part("strip").hidden = true;
    enter("unknown");
  },
});

function keepTicket(change) {
  Object.assign(ticket, change);
  keep(STORED, ticket);
}

/**
 * What the service says of this user is so, whatever was kept here. A new number is what the kept
 * key has led to: the next number needs another one.
 */
function followUser(user) {
  if (user.number === ticket.number) return;
  if (user.number === null && !ticket.isOver) notice = "begunAnew";
  const key = user.number === null ? ticket.key : null;
  keepTicket({ number: user.number, key, isOver: false });
  render();
}

function render() {
  const { state } = queue;
  if (state === null) return;
  const place = placeOf(state, ticket.number);
  if (place.view === "gone") {
    queue.refresh();
    return;
  }
  showFigure("serving", state.serving);
  write("before", words.say("waitingBefore", { count: state.waiting }));
  write("expect", waitText(expectedWait_s(state, state.waiting)));
  write("ahead", words.say("ahead", { count: place.ahead }));
  write("wait", waitText(expectedWait_s(state, place.ahead)));
  for (const figure of document.querySelectorAll("[data-number]")) {
    figure.textContent = ticket.number === null ? "" : words.number(ticket.number);
  }
  if (place.view === "served" && !ticket.isOver) keepTicket({ isOver: true });
  enter(place.view);
  tell(place);
}

function enter(next) {
  const isTurn = next === "serving" && view === "waiting";
  view = next;
  showView(next);
  queue.showLink();
  write("notice", notice === "" ? "" : words.say(notice));
  // Browsers forbid it, and complain, where nobody has touched the page.
  if (isTurn && navigator.userActivation?.hasBeenActive) navigator.vibrate?.(TURN_MS);
}

/** To those who hear the page, and in the title, which is seen among other tabs. */
function tell({ view: place, ahead }) {
  const number = ticket.number;
  if (place === "waiting") {
    const told = words.say("ahead", { count: ahead });
    document.title = words.say("titleWaiting", { number, ahead: told });
    write("said", words.say("saidWaiting", { number, ahead: told }));
  } else if (place === "serving") {
    document.title = words.say("titleTurn", { number });
    write("said", words.say("saidTurn", { number }));
  } else {
    document.title = words.say("titleQueue", { clinic });
    write("said", place === "served" ? words.say("served") : "");
  }
}

async function take() {
  if (part("take").getAttribute("aria-disabled") === "true") return;
  keepTicket({ key: ticket.key ?? randomId() });
  setBusy("taking");
  try {
    const { user, key } = ticket;
    const given = await persistently(
      () => ask("POST", "/api/v1/queue/enter", { body: { clinic, user }, key }),
      { onWait: () => setBusy("takingAgain") },
    );
    notice = "";
    keepTicket({ number: given.number, key: null, isOver: false });
    const { state } = queue;
    // The answer may be faster than the event that tells the others of it.
    if (given.number > state.last) {
      queue.state = { ...state, last: given.number, waiting: given.waiting };
    }
  } catch (error) {
    notice = error.mayPass ? "takeFailed" : "refused";
    notice = { queue_full: "takeFull", unavailable: "takeUnavailable" }[error.code] ?? notice;
  }
  setBusy("");
  render();
}

function setBusy(text) {
  for (const id of ["take", "again"]) part(id).setAttribute("aria-disabled", String(text !== ""));
  if (text !== "") notice = text;
  write("notice", notice === "" ? "" : words.say(notice));
}

part("clinic").textContent = clinic ?? "";
part("take").addEventListener("click", take);
part("again").addEventListener("click", take);
keepTicket({});
words.begin(render);
queue.begin();
