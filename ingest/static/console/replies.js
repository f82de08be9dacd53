// Replies that have not left: those that wait for a person, and all others when asked for.

import { element, put } from "../common/dom.js";
import { userOf } from "./dead.js";
import { decideAll, ManyButton, refusalOf } from "./decide.js";
import { count, counted, inSentence } from "./figures.js";
import { ageOf, factList, KeptList, moment, wording } from "./kept.js";

export const name = "replies";
export const title = "Replies";
export const live = true;

const PATH = "/api/v1/replies";
const STATES = {
  held: "Held",
  failed: "Refused by the provider",
  kept: "Kept to be read: there is no channel",
  waiting: "Waits for its turn",
  sending: "On its way",
  retrying: "Tried again soon",
};
const UNDECIDED = ["held", "failed"];

export function mount(root, page) {
  const view = new RepliesView(root, page);
  view.look();
  return {
    take: (told) => view.take(told),
    leave: () => view.many.stop(),
  };
}

class RepliesView {
  constructor(root, page) {
    this.page = page;
    this.told = null;
    this.sum = element("p", "lead");
    this.sum.id = "sum";
    const send = element("button", "strong");
    send.type = "button";
    send.id = "send-all";
    this.progress = element("p", "progress");
    this.progress.id = "progress";
    this.progress.setAttribute("role", "status");
    this.many = new ManyButton(send, {
      begin: (isStopped) => this.sendAll(isStopped),
      progress: (text) => put(this.progress, text),
    });
    this.many.offer(null);
    this.every = element("input", "");
    this.every.type = "checkbox";
    this.every.id = "every";
    this.every.addEventListener("change", () => this.look());
    this.kept = new KeptList(page, this.kind(), () => this.look());
    this.empty = element("div", "card empty", element("p", ""));
    this.empty.hidden = true;
    root.append(
      element("div", "card verdict", this.sum, this.progress, send),
      element("div", "tools", element("label", "check", this.every, "Also those that leave by themselves")),
      this.empty,
      this.kept.frame,
    );
  }

  kind() {
    return {
      label: "Replies",
      path: PATH,
      query: () => (this.every.checked ? { all: 1 } : {}),
      listIn: (told) => told.replies,
      head: (one) => `${STATES[one.state] ?? one.state}${one.why === null ? "" : `: ${one.why}`}`,
      facts: (one) => factsOf(one).join(" · "),
      whole: wholeOf,
      read: "Show what it says",
      act: {
        verb: "resend",
        text: "Send",
        done: "It is sent now: what has not left of it.",
        mayAct: (one) => UNDECIDED.includes(one.state),
      },
      gone: "It was sent or discarded already.",
      discard: "Delete for ever",
    };
  }

  take(told) {
    const before = this.told;
    this.told = told;
    const isSame = before?.replies_unsent === told.replies_unsent && before?.undecided === told.undecided;
    if (before === null || isSame || this.many.isBusy || this.kept.isLong) return;
    this.look();
  }

  async look() {
    if (this.many.isBusy) return;
    const told = await this.kept.load();
    if (told === null) return;
    const waiting = told.undecided;
    put(this.sum, waiting === 0 ? "No reply waits for a decision" : `${replies(waiting)} ${waiting === 1 ? "waits" : "wait"} for a decision`);
    this.many.offer(waiting === 0 ? null : `Send all ${count(waiting)}`);
    this.empty.hidden = told.replies.length > 0 || told.next !== null;
    put(this.empty.firstChild, this.every.checked
      ? "Every reply has left. One stays here until its provider has taken it, or for want of a channel."
      : "Nothing waits for you. A reply comes here when its provider refused it, when a crash cut its sending off and OUTBOX_POLICY is hold, or when two bots answer each other.");
  }

  async sendAll(isStopped) {
    let done = 0;
    const say = (text) => put(this.progress, text);
    try {
      const newest = await this.page.ask("GET", PATH, { query: { limit: 1 } });
      const meant = { until: newest.replies[0]?.id };
      await decideAll(this.page, `${PATH}/resend`, meant, (told) => {
        done += told.released;
        say(`${count(done)} are sent now…`);
        return !isStopped();
      });
      say(`${isStopped() ? "Stopped. " : ""}${replies(done)} ${done === 1 ? "is" : "are"} sent now.`);
    } catch (error) {
      if (error.status !== 401) say(`${replies(done)} sent. Then: ${refusalOf(error, "")}`);
    }
    setTimeout(() => this.look());
  }
}

function replies(value) {
  return `${count(value)} ${value === 1 ? "reply" : "replies"}`;
}

function factsOf(one) {
  const facts = [];
  if (one.instance !== null) facts.push(inSentence(one.instance));
  if (one.texts !== null) facts.push(counted(one.texts, "text"));
  facts.push(counted(one.attempts, "attempt"), ageOf(one.at));
  return facts;
}

function wholeOf(told, page) {
  const parts = [factList([
    ["User", userOf(told, page)],
    ["Provider", told.provider],
    ["Made", moment(told.at)],
    ["Window", told.window_id],
    ["Has left of it", told.texts === null ? null : `${count(told.texts_sent)} of ${counted(told.texts, "text")}`],
    ["Tried again", told.retry_at === null ? null : moment(told.retry_at)],
    ["Reply", told.id],
  ])];
  if (told.whole_why) parts.push(element("h3", "", "Why"), wording(told.whole_why));
  if (told.raw) parts.push(element("h3", "", "What stands there"), wording(told.raw));
  if (told.contents !== undefined) parts.push(element("h3", "", "It says"), ...told.contents.map(wording));
  return parts;
}
