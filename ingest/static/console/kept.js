// What waits for a person, as a list: look at one, decide about it. Nobody's words are asked for
// before somebody wants to read them.

import { arrange, element, put } from "../common/dom.js";
import { refusalOf } from "./decide.js";
import { count } from "./figures.js";

const PAGE = 50;
const SURE_MS = 6000;

/**
 * `kind`: `path` of the API; `head(one)` and `facts(one)`, what the list tells; `whole(told)`, what
 * there is to one, as elements; `act`, its decision: `{ verb, text, done, mayAct(one) }`; `gone`, what
 * to say of one that is not there any more; `discard`, what that means.
 */
export class KeptList {
  constructor(page, kind, onChange) {
    this.page = page;
    this.kind = kind;
    this.onChange = onChange;
    this.made = new Map();
    this.ids = [];
    this.next = null;
    this.isBusy = false;
    this.list = element("ol", "kept");
    this.list.setAttribute("aria-label", kind.label);
    this.more = element("button", "plain", "Show more");
    this.more.type = "button";
    this.more.hidden = true;
    this.more.addEventListener("click", () => this.load(true));
    this.said = element("p", "said");
    this.said.setAttribute("role", "status");
    this.frame = element("div", "keeping", this.said, this.list, this.more);
  }

  /** Whether more is shown than the first page, which a fresh look would take away. */
  get isLong() {
    return this.ids.length > PAGE;
  }

  say(text) {
    put(this.said, text);
  }

  /** Look at the newest, or at those behind what is shown; what the API told, or null. */
  async load(isMore = false) {
    if (this.isBusy) return null;
    this.isBusy = true;
    const query = { limit: PAGE, ...this.kind.query() };
    if (isMore && this.next !== null) query.before = this.next;
    try {
      const told = await this.page.ask("GET", this.kind.path, { query });
      const found = this.kind.listIn(told);
      this.show(isMore ? [...this.ids, ...found.map((one) => one.id)] : found.map((one) => one.id), found);
      this.next = told.next;
      this.more.hidden = told.next === null;
      this.page.say("");
      return told;
    } catch (error) {
      if (error.status !== 401) this.page.say(refusalOf(error, ""));
      return null;
    } finally {
      this.isBusy = false;
    }
  }

  show(ids, fresh) {
    this.ids = Array.from(new Set(ids));
    for (const one of fresh) {
      if (!this.made.has(one.id)) this.made.set(one.id, new KeptItem(this, one.id));
      this.made.get(one.id).show(one);
    }
    const wanted = new Set(this.ids);
    for (const id of Array.from(this.made.keys()).filter((one) => !wanted.has(one))) this.made.delete(id);
    arrange(this.list, this.ids.map((id) => this.made.get(id).frame));
  }

  /** One is decided: it leaves the list, and the focus goes to the one behind it. */
  drop(item, text) {
    const at = this.ids.indexOf(item.id);
    const hadFocus = item.frame.contains(document.activeElement);
    this.show(this.ids.filter((id) => id !== item.id), []);
    this.say(text);
    if (hadFocus) {
      const neighbour = this.made.get(this.ids[Math.min(at, this.ids.length - 1)]);
      if (neighbour !== undefined) neighbour.frame.querySelector("button").focus();
      else this.frame.closest("section")?.querySelector("h2")?.focus();
    }
    this.onChange();
  }
}

class KeptItem {
  constructor(list, id) {
    this.list = list;
    this.id = id;
    this.kind = list.kind;
    this.path = `${list.kind.path}/${id}`;
    this.title = element("p", "what");
    this.facts = element("p", "quietly");
    this.open = button("plain", "Show", () => this.toggle());
    this.open.setAttribute("aria-expanded", "false");
    this.act = button("plain", this.kind.act.text, () => this.decide());
    this.discard = button("quiet", "Discard", () => this.makeSure());
    this.sure = button("danger", this.kind.discard, () => this.throwAway());
    this.sure.hidden = true;
    this.said = element("p", "notice");
    this.said.setAttribute("role", "alert");
    this.whole = element("div", "whole");
    this.whole.hidden = true;
    const acts = element("div", "acts", this.open, this.act, this.discard, this.sure);
    this.frame = element("li", "card", element("div", "told", this.title, this.facts), acts, this.said, this.whole);
    this.frame.dataset.id = id;
  }

  show(one) {
    put(this.title, this.kind.head(one));
    put(this.facts, this.kind.facts(one));
    this.act.hidden = !this.kind.act.mayAct(one);
  }

  async toggle() {
    const isOpen = this.whole.hidden;
    this.whole.hidden = !isOpen;
    this.open.setAttribute("aria-expanded", String(isOpen));
    put(this.open, isOpen ? "Hide" : "Show");
    if (isOpen) await this.look(false);
    else this.whole.replaceChildren(); // what was read is not kept where nobody looks
  }

  async look(withTexts) {
    await this.trying(async () => {
      const query = withTexts ? { texts: 1 } : undefined;
      const told = await this.list.page.ask("GET", this.path, { query });
      const parts = this.kind.whole(told, this.list.page);
      if (!withTexts) parts.push(button("plain", this.kind.read, () => this.look(true)));
      this.whole.replaceChildren(...parts);
      if (withTexts) this.open.focus();
    });
  }

  decide() {
    return this.trying(async () => {
      await this.list.page.ask("POST", `${this.path}/${this.kind.act.verb}`, { body: {} });
      this.list.drop(this, this.kind.act.done);
    });
  }

  /** Asks in its place, and forgets that it was asked. */
  makeSure() {
    this.discard.hidden = true;
    this.sure.hidden = false;
    this.sure.focus();
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.keep(), SURE_MS);
  }

  keep() {
    const hadFocus = document.activeElement === this.sure;
    this.sure.hidden = true;
    this.discard.hidden = false;
    if (hadFocus) this.discard.focus();
  }

  throwAway() {
    clearTimeout(this.asking);
    return this.trying(async () => {
      await this.list.page.ask("DELETE", this.path);
      this.list.drop(this, "Discarded.");
    });
  }

  /** One thing at a time; what came to nothing is said where it was asked for. */
  async trying(act) {
    if (this.isBusy) return;
    this.isBusy = true;
    put(this.said, "");
    try {
      await act();
    } catch (error) {
      if (error.status === 404) this.list.drop(this, this.kind.gone);
      else if (error.status !== 401) put(this.said, refusalOf(error, this.kind.gone));
    } finally {
      this.isBusy = false;
    }
  }
}

export function button(className, text, onClick) {
  const found = element("button", className, text);
  found.type = "button";
  found.addEventListener("click", onClick);
  return found;
}

/** A list of names and what they are; those that are not known are left out. */
export function factList(facts) {
  const rows = facts
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([text, value]) => element("div", "", element("dt", "", text), element("dd", "", value)));
  return element("dl", "whole-facts", ...rows);
}

/** What somebody wrote, as it is: its lines, and its direction wherever it ends. */
export function wording(text) {
  const found = element("blockquote", "wording", text);
  found.dir = "auto";
  return found;
}

export function moment(ms) {
  return new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** A time of today without its date. */
export function clock(ms) {
  const at = new Date(ms);
  const isToday = at.toDateString() === new Date().toDateString();
  return isToday ? at.toLocaleTimeString(undefined, { timeStyle: "medium" }) : moment(ms);
}

export function ageOf(at_ms, now_ms = Date.now()) {
  const seconds = Math.max(0, (now_ms - at_ms) / 1000);
  if (seconds < 120) return `${count(Math.round(seconds))} s ago`;
  if (seconds < 7200) return `${count(Math.round(seconds / 60))} min ago`;
  return seconds < 172_800 ? `${count(Math.round(seconds / 3600))} h ago` : `${count(Math.round(seconds / 86_400))} d ago`;
}
