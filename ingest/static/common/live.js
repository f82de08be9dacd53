// A stream of server-sent events that is kept open: by the browser, and here where it gives up.

import { backoff_ms } from "./api.js";

/** The server says something every 15 s; a line that is dead without an error is silent. */
const SILENCE_MS = 40_000;

/** Its first word comes at once; a proxy that gathers what it passes on keeps it back. */
const FIRST_WORD_MS = 8000;

/** Shorter breaks are the server's own: it ends each stream after some minutes. */
const UNNOTICED_MS = 2500;

/**
 * Hear `names` of `url`. `onEvent` gets each event's name and data, `onLink` is told "live",
 * "reconnecting" or "offline" when that changes, `onDown` is called at each failed try:
 * one that was refused, or on which nothing was heard. Returned is the stream: `turnTo` another url,
 * `rest` until then.
 */
export function listen(url, names, { onEvent, onLink = () => {}, onDown = () => {} }) {
  const stream = new Stream(url, names, { onEvent, onLink, onDown });
  stream.open();
  addEventListener("online", () => stream.reopen());
  addEventListener("offline", () => stream.tellLink("offline"));
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && stream.isDown) stream.reopen();
  });
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => event.persisted && stream.reopen());
  return stream;
}

class Stream {
  constructor(url, names, told) {
    this.url = url;
    this.names = names;
    this.told = told;
    this.failed = 0;
  }

  get isDown() {
    return this.source?.readyState !== EventSource.OPEN;
  }

  open() {
    this.close();
    const source = new EventSource(this.url);
    this.source = source;
    for (const name of this.names) {
      source.addEventListener(name, (event) => this.hear(name, event));
    }
    source.onerror = () => this.lose(source);
    this.watch(FIRST_WORD_MS);
  }

  reopen() {
    this.failed = 0;
    if (!this.isResting) this.open();
  }

  turnTo(url) {
    this.url = url;
    this.isResting = false;
    this.reopen();
  }

  rest() {
    this.isResting = true;
    this.close();
  }

  close() {
    this.source?.close();
    clearTimeout(this.silence);
    clearTimeout(this.retry);
    clearTimeout(this.notice);
  }

  hear(name, event) {
    this.failed = 0;
    clearTimeout(this.notice);
    this.notice = undefined;
    this.watch(SILENCE_MS);
    const data = JSON.parse(event.data);
    // The line is there, but what the server itself knows is old.
    this.tellLink(data.stale ? "reconnecting" : "live");
    this.told.onEvent(name, data);
  }

  /** Browsers come back by themselves after a cut, but never after an answer that is no stream. */
  lose(source) {
    this.notice ??= setTimeout(() => this.tellLink(downLink()), UNNOTICED_MS);
    if (source.readyState === EventSource.CLOSED) this.comeBack();
  }

  comeBack() {
    this.failed += 1;
    this.told.onDown();
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.open(), backoff_ms(this.failed));
  }

  watch(limit_ms) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      this.source.close();
      this.tellLink(downLink());
      this.comeBack();
    }, limit_ms);
  }

  tellLink(link) {
    if (link === this.link) return;
    this.link = link;
    this.told.onLink(link);
  }
}

function downLink() {
  return navigator.onLine ? "reconnecting" : "offline";
}
