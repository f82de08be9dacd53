// A conversation's way: every window of one user, where its messages are, and what became of it.

import { arrange, element, put } from "../common/dom.js";
import { refusalOf } from "./decide.js";
import { age, counted } from "./figures.js";
import { clock, moment, wording } from "./kept.js";
import { isolated } from "./table.js";
import { windowsOf } from "./way.js";

export const name = "conversation";
export const title = "Conversation";
export const live = false;

const LOOK_MS = 1000;
const NOTHING = "Nothing is known of this conversation. Nobody has written under this name to this instance, "
  + "or longer ago than DEDUPE_MS (a day, unless it is set otherwise). Names are compared letter by letter.";

const HINT = "Tells where one user's messages are and what became of them: window by window, with its attempts, "
  + "its reply, and why it waits. Open windows, dead letters and replies link here.";

export function mount(root, page) {
  const [instance = "", user = ""] = page.parts;
  root.append(makeForm(instance, user, page));
  if (instance === "" || user === "") {
    root.append(element("div", "card empty", element("p", "", HINT)));
    return {};
  }
  const view = new ConversationView(root, page, instance, user);
  view.look();
  const looking = setInterval(() => view.look(), LOOK_MS);
  return { leave: () => clearInterval(looking) };
}

function makeForm(instance, user, page) {
  const fields = [["Instance", "instance", instance], ["User", "user", user]].map(([text, id, value]) => {
    const field = element("input", "");
    Object.assign(field, { id, value, required: true, autocomplete: "off", autocapitalize: "none", spellcheck: false });
    return element("label", "filter", element("span", "", text), field);
  });
  const ask = element("button", "strong", "Look");
  const form = element("form", "tools", ...fields, ask);
  form.id = "whose";
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    page.go(name, form.elements.instance.value.trim(), form.elements.user.value.trim());
  });
  return form;
}

class ConversationView {
  constructor(root, page, instance, user) {
    this.page = page;
    this.path = `/api/v1/conversations/${encodeURIComponent(instance)}/${encodeURIComponent(user)}`;
    this.made = new Map();
    this.isBusy = false;
    this.sum = element("p", "lead");
    this.sum.id = "sum";
    this.beside = element("p", "quietly");
    this.texts = element("input", "");
    this.texts.type = "checkbox";
    this.texts.id = "texts";
    this.texts.addEventListener("change", () => this.look());
    this.show = element("label", "check", this.texts, "Show what was said");
    this.list = element("ol", "way");
    this.list.setAttribute("aria-label", "Windows, the newest first");
    this.verdict = element("div", "card verdict", this.sum, this.beside);
    this.verdict.setAttribute("role", "status");
    this.verdict.hidden = true;
    this.show.hidden = true;
    root.append(this.verdict, this.show, this.list);
  }

  async look() {
    if (this.isBusy || document.visibilityState !== "visible") return;
    this.isBusy = true;
    try {
      const query = this.texts.checked ? { texts: 1 } : undefined;
      this.tell(await this.page.ask("GET", this.path, { query }));
      this.page.say("");
    } catch (error) {
      if (error.status === 404) this.tellNothing();
      else if (error.status !== 401) this.page.say(refusalOf(error, ""));
    } finally {
      this.isBusy = false;
    }
  }

  tellNothing() {
    this.verdict.hidden = false;
    this.show.hidden = true;
    put(this.sum, "Nothing is known");
    put(this.beside, NOTHING);
    arrange(this.list, []);
  }

  tell(told) {
    this.verdict.hidden = false;
    this.show.hidden = false;
    const windows = windowsOf(told);
    put(this.sum, sumOf(told, windows));
    put(this.beside, besideOf(told));
    const before = this.made;
    this.made = new Map();
    const lines = windows.reverse().map((window) => {
      const line = before.get(window.key) ?? element("li", "card");
      this.made.set(window.key, line);
      // Written anew only where it differs, so that what one reads or has selected stays.
      const written = JSON.stringify([window, this.texts.checked]);
      if (line.written !== written) {
        line.written = written;
        line.dataset.tone = window.tone;
        line.replaceChildren(...partsOf(window, this.page, this.texts.checked));
      }
      return line;
    });
    arrange(this.list, lines);
  }
}

function partsOf(window, page, withTexts) {
  const steps = window.steps.map(({ at, text }) => element("li", "",
    element("time", "quietly", at === null ? "–" : clock(at)), element("span", "", text)));
  const head = element("p", "what", window.title, " ", element("span", "quietly", window.id ?? "no window yet"));
  const parts = [head, messagesOf(window, withTexts), element("ol", "steps", ...steps)];
  for (const reply of window.replies) {
    if (withTexts && reply.texts !== undefined) parts.push(element("h3", "", "The reply"), ...reply.texts.map(wording));
  }
  if (window.deadLetter !== null) parts.push(deadLink(window.deadLetter, page));
  return parts;
}

function messagesOf(window, withTexts) {
  const messages = window.messages.map((one) => {
    const head = element("p", "quietly", one.accepted_at === undefined ? "" : `${clock(one.accepted_at)} · `);
    head.append(one.message_id === undefined ? `entry ${one.entry_id}` : isolated(one.message_id));
    const line = element("li", "", head);
    if (withTexts) line.append(one.text === undefined ? element("p", "quietly", "What it said is not kept any more.") : wording(one.text));
    return line;
  });
  return element("ol", "messages", ...messages);
}

function deadLink(letter, page) {
  const link = element("a", "", "It is a dead letter: look at those, or replay it there.");
  link.href = page.addressOf("dead");
  link.dataset.letter = letter;
  return element("p", "", link);
}

function sumOf({ windows }, ways) {
  const open = windows.length;
  const known = counted(ways.length, "window");
  return open === 0 ? `Nothing waits. ${known} known.` : `${counted(open, "window")} not finished. ${known} known.`;
}

function besideOf({ muted_until: muted, last_message_at: wrote, last_reply_at: answered }) {
  const now = Date.now();
  const told = [];
  if (muted !== undefined && muted > now) told.push(`Muted until ${moment(muted)}: a person answers.`);
  if (wrote !== undefined) told.push(`Wrote ${age(Math.max(0, (now - wrote) / 1000))} ago.`);
  if (answered !== undefined) told.push(`Answered ${age(Math.max(0, (now - answered) / 1000))} ago.`);
  return told.join(" ");
}
