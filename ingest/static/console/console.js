// The console's shell: who is logged in, which view is shown, and what the stream tells it.

import { ask, persistently } from "../common/api.js";
import { element, part, showView, write } from "../common/dom.js";
import { listen } from "../common/live.js";
import { hasSession, logInByForm, logOut } from "../common/session.js";
import { addressOf, hashOf, placeIn } from "./address.js";
import { counted } from "./figures.js";
import { VIEWS } from "./views.js";

const STREAM = "/api/v1/console/stream";
const LINKS = { live: "live", reconnecting: "no answer, trying again", offline: "offline" };
const NO_SERVICE = "This service does not answer. What is shown is from before; it is asked again and again.";

let stream = null;
let shown = null;
let current = null;
let isIn = false;
let asked = {};

/** What a view may do; see views.js. One that was left may not change what is shown any more. */
function pageFor(place) {
  const page = {
    ask: askAsStaff,
    say: (text) => page === current && say(text),
    go,
    hasView,
    addressOf: toAddress,
    parts: place.parts,
    watch: (query) => page === current && watch(query),
  };
  return page;
}

async function askAsStaff(...call) {
  try {
    return await ask(...call);
  } catch (error) {
    if (error.status === 401) enterLogin();
    throw error;
  }
}

function say(text) {
  write("notice", text);
}

function toAddress(name, ...parts) {
  return addressOf(name, parts);
}

function go(name, ...parts) {
  location.hash = hashOf(name, parts);
}

function hasView(name) {
  return VIEWS.some((one) => one.name === name);
}

function watch(query) {
  asked = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));
  if (shown !== null) follow();
}

function show() {
  if (!isIn) return;
  const place = placeIn(location.hash);
  const view = VIEWS.find((one) => one.name === place.name) ?? VIEWS[0];
  shown?.mounted.leave?.();
  say("");
  write("title", view.title);
  document.title = `${view.title} · inturn`;
  for (const link of part("views").children) {
    if (link.dataset.name !== view.name) {
      link.removeAttribute("aria-current");
      continue;
    }
    link.setAttribute("aria-current", "page");
    link.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  const root = element("div", view.name);
  root.id = "root";
  part("root").replaceWith(root);
  asked = {};
  shown = null;
  current = pageFor(place);
  shown = { view, mounted: view.mount(root, current) ?? {} };
  showView("shown");
  follow();
}

/** Hear what the shown view is to be told; nothing is looked at for a page that nobody sees. */
function follow() {
  write("stale", "");
  const isHeard = isIn && shown?.view.live === true && document.visibilityState === "visible";
  part("link").hidden = !isIn || shown?.view.live !== true;
  if (!isHeard) {
    stream?.rest();
    return;
  }
  const url = `${STREAM}?${new URLSearchParams({ view: shown.view.name, ...asked })}`;
  if (stream !== null) stream.turnTo(url);
  else stream = listen(url, ["LOOK", "STALE"], { onEvent: hear, onLink: tellLink, onDown: checkSession });
}

function hear(name, data) {
  // What was on its way when the view changed is another's.
  if (name === "LOOK" && data.view === shown?.view.name) shown.mounted.take?.(data);
  const isStale = name === "STALE";
  write("stale", isStale ? staleText(data) : "");
  part("root").classList.toggle("stale", isStale);
}

function staleText({ spool_messages }) {
  const kept = spool_messages > 0 ? ` ${counted(spool_messages, "message")} ${spool_messages === 1 ? "is" : "are"} kept on this service’s disk.` : "";
  return `Redis does not answer. What is shown is from before; it is asked again and again.${kept}`;
}

function tellLink(link) {
  part("link").dataset.link = link;
  write("link", LINKS[link]);
  if (link !== "live") write("stale", NO_SERVICE);
}

/** A stream that is refused does not say why. */
async function checkSession() {
  const stillIn = await hasSession().catch(() => true);
  if (!stillIn && isIn) enterLogin();
}

function enterLogin() {
  isIn = false;
  shown?.mounted.leave?.();
  shown = null;
  current = null;
  follow();
  showFrame();
  part("root").replaceChildren();
  showView("login");
  part("token").focus();
}

function showFrame() {
  part("views").hidden = !isIn;
  part("leave").hidden = !isIn;
}

function enter() {
  isIn = true;
  showFrame();
  show();
}

async function submitToken(event) {
  event.preventDefault();
  if (!(await logInByForm(say))) return;
  enter();
  part("title").focus();
}

async function leave() {
  try {
    await logOut();
    enterLogin();
  } catch {
    say("That did not work. Please try again.");
  }
}

async function begin() {
  part("views").append(...VIEWS.map((view) => {
    const link = element("a", "", view.title);
    link.href = addressOf(view.name, []);
    link.dataset.name = view.name;
    return link;
  }));
  part("login").addEventListener("submit", submitToken);
  part("leave").addEventListener("click", leave);
  addEventListener("hashchange", () => {
    show();
    if (isIn) part("title").focus();
  });
  document.addEventListener("visibilitychange", follow);
  try {
    if (await persistently(hasSession)) enter();
    else enterLogin();
  } catch {
    say("The service does not answer. Reload the page.");
  }
}

begin();
