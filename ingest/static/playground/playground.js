// The playground: messages go out as any program's do, and where they are is asked as any program
// asks it. Nothing here has a way of its own through the service.

import { ask, persistently } from "../common/api.js";
import { part, showView, write } from "../common/dom.js";
import { randomId } from "../common/keep.js";
import { hasSession, logInByForm } from "../common/session.js";
import { forgetStory, showRules, showStory, showTally } from "./beside.js";
import { forgetChat, showChat } from "./chat.js";
import { addMessage, isSettled, newConversation, noteAccepted, takeFace } from "./state.js";

const STORED = "inturn.playground";
/** What is done is told in full for five minutes, as the service is set; then one begins anew. */
const REMEMBERED_MS = 300_000;
const LOOK_MS = 200;
const LOOK_SELDOM_MS = 1000;
const TICK_MS = 100;
const PAUSE_MS = 700;
const AT_END_PX = 48;
/** One failed look may be chance, or a message that waits on disk and is not in Redis yet. */
const AWAY_AFTER = 2;
const AWAY = "No answer. What was accepted is kept; asking again…";
const BURSTS = [
  ["hi", "are you open?", "on friday I mean"],
  ["one more thing", "do you have rye bread?", "a big one", "two, actually", "thanks!"],
];

let conversation = restore();
let rules = null;
let notice = "";
let burstNumber = 0;
let isWatching = false;
let sending = Promise.resolve();

function begin() {
  return newConversation(`visitor-${randomId().slice(0, 12)}`);
}

/** What this tab had before it was reloaded; other tabs are other users. */
function restore() {
  try {
    const found = JSON.parse(sessionStorage.getItem(STORED));
    return found !== null && Date.now() - found.at < REMEMBERED_MS ? found.conversation : begin();
  } catch {
    return begin();
  }
}

function store() {
  try {
    sessionStorage.setItem(STORED, JSON.stringify({ at: Date.now(), conversation }));
  } catch {
    // Storage is forbidden or full: a reload begins anew, and all else is as it was.
  }
}

/** Send one text; those before it go first, as a phone does it. */
function send(text) {
  const now = conversation;
  const message = addMessage(now, `play-${randomId()}`, text, Date.now());
  sending = sending.then(() => deliver(now, message));
  render();
  scrollDown("scroll");
  return sending;
}

async function deliver(whose, message) {
  const { user } = whose;
  const { id, text } = message;
  const body = { instance: rules.instance, user, text, message_id: id };
  let begun = 0;
  try {
    const answer = await persistently(
      () => {
        begun = Date.now();
        return ask("POST", "/api/v1/messages", { body });
      },
      { tries: 3, onWait: () => tell("No answer yet. Trying again…") },
    );
    noteAccepted(whose, message, answer.accepted[0], begun, Date.now() - begun);
    tell("");
  } catch (error) {
    if (message.entry === null) message.state = "refused";
    if (error.status === 401) enter("login");
    else tell(error.mayPass ? "It was not accepted: the service is away." : `It was refused: ${error.code}.`);
  }
  if (whose !== conversation) return;
  store();
  render();
  watch();
}

/** Look where everything is, until nothing moves any more. */
async function watch() {
  if (isWatching) return;
  isWatching = true;
  lookAtRules();
  let failed = 0;
  while (!isSettled(conversation) && part("composer").checkVisibility()) {
    const before = failed;
    failed = (await look()) ? 0 : failed + 1;
    if (failed === AWAY_AFTER) tell(AWAY);
    else if (failed === 0 && before >= AWAY_AFTER) tell("");
    await pause(failed > 0 ? Math.min(5000, 500 * 2 ** failed) : untilNextLook());
  }
  isWatching = false;
}

/** Somebody may have set something at run time; without an answer what was known stays. */
async function lookAtRules() {
  try {
    rules = await ask("GET", "/api/v1/playground");
    showRules(rules);
  } catch (error) {
    if (error.status === undefined) throwUnknown(error);
  }
}

async function look() {
  const whose = conversation;
  const user = encodeURIComponent(whose.user);
  try {
    const face = await ask("GET", `/api/v1/conversations/${encodeURIComponent(rules.instance)}/${user}`);
    if (whose !== conversation) return true;
    takeFace(whose, face);
    store();
    render();
    return true;
  } catch (error) {
    if (error.status === 401) enter("login");
    else if (error.status === undefined) throwUnknown(error);
    return false;
  }
}

/** Errors of the network are waited out; others are ours. */
function throwUnknown(error) {
  if (!error.mayPass) throw error;
}

function untilNextLook() {
  const states = conversation.windows.map((window) => window.state);
  return rules.paused || states.includes("retrying") ? LOOK_SELDOM_MS : LOOK_MS;
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function sendBurst() {
  const texts = BURSTS[burstNumber % BURSTS.length];
  const whose = conversation;
  burstNumber += 1;
  setBusy(true);
  for (const [index, text] of texts.entries()) {
    if (index > 0) await pause(PAUSE_MS);
    if (whose !== conversation) break;
    await send(text);
  }
  setBusy(false);
}

function setBusy(isBusy) {
  for (const id of ["burst", "first-burst"]) part(id).setAttribute("aria-disabled", String(isBusy));
}

function isBusy() {
  return part("burst").getAttribute("aria-disabled") === "true";
}

function startAnew() {
  conversation = begin();
  store();
  forgetChat();
  forgetStory();
  tell("");
  render();
  part("text").focus();
}

function tell(text) {
  notice = text;
  write("notice", notice);
}

function render() {
  if (rules === null) return;
  const isEmpty = conversation.messages.length === 0;
  part("empty").hidden = !isEmpty;
  part("more").hidden = isEmpty;
  write("burst", `Burst of ${BURSTS[burstNumber % BURSTS.length].length}`);
  staysAtEnd("scroll", () => showChat(conversation, rules));
  showTally(conversation);
  part("steps").hidden = !isEmpty;
  staysAtEnd("story", () => showStory(conversation));
}

/** Whoever has scrolled back to read is left there; others see what `change` adds. */
function staysAtEnd(id, change) {
  const found = part(id);
  const isAtEnd = found.scrollHeight - found.scrollTop - found.clientHeight < AT_END_PX;
  change();
  if (isAtEnd) scrollDown(id);
}

function scrollDown(id) {
  part(id).scrollTop = part(id).scrollHeight;
}

function enter(view) {
  showView(view);
  if (view === "login") part("token").focus();
}

async function open() {
  try {
    const isIn = await persistently(hasSession);
    if (!isIn) {
      enter("login");
      return;
    }
    rules = await persistently(() => ask("GET", "/api/v1/playground"));
  } catch (error) {
    enter("chat");
    tell(error.status === 404 ? "The playground is off here." : "The service is away. Reload the page.");
    return;
  }
  showRules(rules);
  enter("chat");
  render();
  for (const id of ["scroll", "story"]) scrollDown(id);
  watch();
}

async function submitToken(event) {
  event.preventDefault();
  if (!(await logInByForm(tell))) return;
  tell("");
  await open();
  part("text").focus();
}

function submitText(event) {
  event.preventDefault();
  const field = part("text");
  const text = field.value.trim();
  if (text === "" || rules === null) return;
  field.value = "";
  send(text);
}

/** What a provider does that got no answer: the same message again, under the same id. */
function deliverAgain() {
  const last = conversation.messages.findLast((message) => message.entry !== null);
  if (last === undefined) return;
  const whose = conversation;
  sending = sending.then(() => deliver(whose, last));
}

for (const id of ["burst", "first-burst"]) {
  part(id).addEventListener("click", () => isBusy() || sendBurst());
}
part("twice").addEventListener("click", deliverAgain);
part("anew").addEventListener("click", startAnew);
part("composer").addEventListener("submit", submitText);
part("login").addEventListener("submit", submitToken);
setInterval(() => {
  if (!isSettled(conversation)) render();
}, TICK_MS);
open();
