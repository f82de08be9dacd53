// The desk: call the next one, begin anew. Looking needs nothing; acting needs a session.

import { ask, persistently } from "../common/api.js";
import { part, showView, write } from "../common/dom.js";
import { randomId } from "../common/keep.js";
import { hasSession, logIn, logOut } from "../common/session.js";
import { clinic, listNumbers, Queue, showFigure, words } from "./queue.js";
import { nextNumbers } from "./state.js";

const NEXT_COUNT = 6;
/** A second click of the same hand would call one person past another. */
const CALM_MS = 800;

let view = "loading";
let notice = "";
let mayCall = true;

const queue = new Queue({ onState: render, onUnknown: () => enter("unknown") });

function enter(next) {
  view = next;
  showView(next);
  part("leave").hidden = next !== "desk";
  render();
}

function render() {
  const { state } = queue;
  document.title = words.say("titleDesk", { clinic });
  queue.showLink();
  write("notice", notice === "" ? "" : words.say(notice));
  if (state === null) return;
  showFigure("serving", state.serving);
  showFigure("waiting", state.waiting);
  showFigure("last", state.last);
  const average_s = state.average_service_s;
  showFigure("average", average_s === null ? null : Math.round(average_s / 6) / 10);
  listNumbers("next", nextNumbers(state, NEXT_COUNT));
  write("call", callText(state));
  part("call").setAttribute("aria-disabled", String(!mayCall || isIdle(state)));
  write("sure-more", words.say("resetMore", { count: state.waiting }));
  write("said", state.serving === null ? "" : words.say("saidServing", { number: state.serving }));
}

function isIdle(state) {
  return state.serving === null && state.waiting === 0;
}

function callText(state) {
  if (state.waiting > 0) return words.say("callNext", { number: nextNumbers(state, 1)[0] });
  if (state.serving !== null) return words.say("finish", { number: state.serving });
  return words.say("nobodyWaits");
}

async function call() {
  if (!mayCall || queue.state === null || isIdle(queue.state)) return;
  mayCall = false;
  const isDone = await act("done", "");
  setTimeout(() => {
    mayCall = true;
    render();
  }, isDone ? CALM_MS : 0);
}

/** POST a verb once: with a key, so that trying again after a lost answer changes nothing more. */
async function act(verb, done) {
  notice = "";
  render();
  const key = randomId();
  const post = () => ask("POST", `/api/v1/queue/${verb}`, { body: { clinic }, key });
  try {
    await queue.takeAnswer(persistently(post, { tries: 3 }));
    notice = done;
  } catch (error) {
    if (error.status === 401) {
      notice = "loggedOut";
      enter("login");
      return false;
    }
    notice = error.mayPass ? "unsure" : "refused";
    render();
    return false;
  }
  render();
  return true;
}

async function submitToken(event) {
  event.preventDefault();
  const field = part("token");
  notice = "";
  try {
    await logIn(field.value);
    field.value = "";
    enter("desk");
    part("call").focus();
  } catch (error) {
    notice = { 401: "tokenWrong", 429: "tooMany" }[error.status] ?? "refused";
    render();
    field.select();
  }
}

async function leave() {
  notice = "";
  try {
    await logOut();
    enter("login");
    part("token").focus();
  } catch {
    notice = "refused";
    render();
  }
}

async function begin() {
  part("clinic").textContent = clinic ?? "";
  const address = `/queue/${encodeURIComponent(clinic ?? "")}`;
  part("to-phone").href = address;
  part("to-screen").href = `${address}/screen`;
  words.begin(render);
  const isIn = await hasSession().catch(() => false);
  if (view === "loading") enter(isIn ? "desk" : "login");
}

part("call").addEventListener("click", call);
part("reset").addEventListener("click", () => {
  part("sure").returnValue = ""; // some browsers keep it when Escape closes the dialog
  part("sure").showModal();
});
part("sure").addEventListener("close", () => {
  if (part("sure").returnValue === "reset") act("reset", "resetDone");
});
part("login").addEventListener("submit", submitToken);
part("leave").addEventListener("click", leave);
begin();
queue.begin();
