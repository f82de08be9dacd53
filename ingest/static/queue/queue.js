// What the three pages share: whose queue it is, its state, kept live, and how that is told.

import { ask, Refused, Unreachable } from "../common/api.js";
import { part, write } from "../common/dom.js";
import { listen } from "../common/live.js";
import { Words } from "../common/language.js";
import { TEXTS } from "./texts.js";

const EVENTS = ["CONNECTED", "QUEUE_UPDATE", "SNAPSHOT"];

export const words = new Words(TEXTS);

/** The name in `/queue/<clinic>`; null where the address is not readable. */
export function clinicOf(path) {
  try {
    return decodeURIComponent(path.split("/")[2]);
  } catch {
    return null;
  }
}

export const clinic = clinicOf(location.pathname);

/**
 * The queue's state, kept up to date. Told are `onState` of each new one, `onUser` of what a
 * status says of `user`, `onConnect` when a stream begins, `onUnknown` where there is no queue.
 */
export class Queue {
  constructor({ user, onState, onUser = () => {}, onConnect = () => {}, onUnknown }) {
    Object.assign(this, { user, onState, onUser, onConnect, onUnknown });
    this.state = null;
    this.link = null;
    this.heard = 0;
  }

  /** Show what is there at once, and go on with the stream. */
  async begin() {
    if (clinic === null) this.onUnknown();
    if (clinic === null || !(await this.refresh())) return;
    const url = `/api/v1/events/stream?${new URLSearchParams({ clinic })}`;
    listen(url, [...EVENTS, "HEARTBEAT"], {
      onEvent: (name, state) => EVENTS.includes(name) && this.hear(name, state),
      onLink: (link) => this.tellLink(link),
      onDown: () => this.refresh(),
    });
  }

  hear(name, state) {
    this.heard += 1;
    this.take(state);
    if (name === "CONNECTED" || state.gap) this.onConnect();
  }

  take(state) {
    this.state = state;
    this.onState(state);
  }

  /** Take the state that `asking` brings, unless the stream has told a newer one meanwhile. */
  async takeAnswer(asking) {
    const before = this.heard;
    const answer = await asking;
    if (this.heard === before) this.take(answer);
    return answer;
  }

  /** Ask once; false where there is no such queue. Whoever asks meanwhile waits for the same. */
  refresh() {
    this.refreshing ??= this.ask().finally(() => (this.refreshing = null));
    return this.refreshing;
  }

  async ask() {
    const query = this.user ? { clinic, user: this.user } : { clinic };
    try {
      const answer = await this.takeAnswer(ask("GET", "/api/v1/queue/status", { query }));
      if (this.user) this.onUser(answer.user);
    } catch (error) {
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
      if (!error.mayPass) {
        this.onUnknown();
        return false;
      }
      this.tellLink(navigator.onLine ? "reconnecting" : "offline");
    }
    return true;
  }

  tellLink(link) {
    this.link = link;
    this.showLink();
  }

  showLink() {
    if (this.link === null) return;
    part("link").dataset.link = this.link;
    write("link", words.say(this.link));
  }
}

/** A number, or a dash for nobody; said as a word to those who hear the page. */
export function showFigure(id, number) {
  const found = part(id);
  write(id, number === null ? "–" : words.number(number));
  found.style.setProperty("--digits", Math.max(2, found.textContent.length));
  if (number === null) found.setAttribute("aria-label", words.say("nobody"));
  else found.removeAttribute("aria-label");
}

/** Rounded as people say it; null: nothing is known. */
export function waitText(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const minutes = Math.ceil(seconds / 60);
  if (minutes <= 1) return words.say("waitShort");
  return words.say("waitMinutes", { count: minutes > 20 ? Math.ceil(minutes / 5) * 5 : minutes });
}

export function listNumbers(id, numbers) {
  const list = part(id);
  const wanted = numbers.map((number) => words.number(number));
  const shown = Array.from(list.children, (item) => item.textContent);
  if (wanted.join() === shown.join()) return;
  list.replaceChildren(
    ...wanted.map((text) => {
      const item = document.createElement("li");
      item.className = "figure";
      item.textContent = text;
      return item;
    }),
  );
}
