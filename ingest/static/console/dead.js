// Dead letters: what was given up, why, and what becomes of it.

import { element, put } from "../common/dom.js";
import { decideAll, ManyButton, refusalOf } from "./decide.js";
import { count, counted, inSentence } from "./figures.js";
import { ageOf, button, factList, KeptList, moment, wording } from "./kept.js";
import { isolated } from "./table.js";

export const name = "dead";
export const title = "Dead letters";
export const live = true;

const PATH = "/api/v1/dead-letters";
const GROUPS_SHOWN = 12;
/** What costs the service most is asked for as seldom as that wants, while letters come and come. */
const GROUPS_REST = 30;
const GROUPS_REST_MS = 1000;
const LOOK_REST_MS = 900;

export function mount(root, page) {
  const [instance = "", error = ""] = page.parts;
  const view = new DeadView(root, page, meantBy(instance, error));
  view.look();
  return {
    take: (told) => view.take(told),
    leave: () => view.leave(),
  };
}

function meantBy(instance, error) {
  return Object.fromEntries(Object.entries({ instance, error }).filter(([, value]) => value !== ""));
}

class DeadView {
  constructor(root, page, meant) {
    this.page = page;
    this.meant = meant;
    this.isNarrowed = Object.keys(meant).length > 0;
    this.total = null;
    this.lookedAt = 0;
    this.groupsDue = 0;
    this.sum = element("p", "lead");
    this.sum.id = "sum";
    const replay = element("button", "strong");
    replay.type = "button";
    replay.id = "replay-all";
    this.progress = element("p", "progress");
    this.progress.id = "progress";
    this.progress.setAttribute("role", "status");
    this.many = new ManyButton(replay, {
      begin: (isStopped) => this.replayAll(isStopped),
      progress: (text) => put(this.progress, text),
    });
    this.many.offer(null);
    this.groups = element("div", "groups");
    this.kept = new KeptList(page, this.kind(), () => this.look());
    this.empty = emptyState(this.isNarrowed, page);
    this.empty.hidden = true;
    root.append(
      element("div", "card verdict", this.sum, this.progress, replay),
      this.groups,
      this.empty,
      this.kept.frame,
    );
  }

  kind() {
    return {
      label: "Dead letters",
      path: PATH,
      query: () => this.meant,
      listIn: (told) => told.dead_letters,
      head: (one) => one.error ?? "It cannot be read",
      facts: (one) => factsOf(one).join(" · "),
      whole: wholeOf,
      read: "Show what they wrote",
      act: {
        verb: "replay",
        text: "Replay",
        done: "Handed over again: its user is answered once.",
        mayAct: (one) => one.not_replayable === null,
      },
      gone: "It was replayed or discarded already.",
      discard: "Delete for ever",
    };
  }

  /** The stream tells how many there are; what they are is asked for when that has changed. */
  take({ dead_letters: total }) {
    if (this.total === null || total === this.total || this.many.isBusy) return;
    if (performance.now() < this.lookedAt + LOOK_REST_MS) return; // it is told again, and again
    if (this.kept.isLong) this.tell(total);
    else this.look();
  }

  leave() {
    this.many.stop();
    clearTimeout(this.later);
  }

  async look() {
    if (this.many.isBusy) return;
    this.lookedAt = performance.now();
    const told = await this.kept.load();
    if (told === null) return;
    this.tell(told.total);
    this.empty.hidden = told.dead_letters.length > 0 || told.next !== null;
    await this.lookAtGroups(told.total);
  }

  tell(total) {
    this.total = total;
    const shown = this.isNarrowed ? "of all instances and errors" : "";
    put(this.sum, total === 0 ? "No dead letters" : `${counted(total, "dead letter")} ${shown}`.trim());
    if (!this.isNarrowed) this.many.offer(total === 0 ? null : `Replay all ${count(total)}`);
  }

  async lookAtGroups(total) {
    if (total === 0) {
      this.groups.replaceChildren();
      return;
    }
    const began = performance.now();
    if (began < this.groupsDue) {
      clearTimeout(this.later);
      this.later = setTimeout(() => this.lookAtGroups(this.total), this.groupsDue - began);
      return;
    }
    let told;
    try {
      told = await this.page.ask("GET", `${PATH}/groups`);
    } catch {
      return; // the list is there without them
    }
    const took = performance.now() - began;
    this.groupsDue = performance.now() + Math.max(GROUPS_REST_MS, took * GROUPS_REST);
    if (this.groups.contains(document.activeElement)) return; // who is about to choose is let choose
    const more = told.is_whole ? "" : ` Of the newest ${count(told.looked_at)}.`;
    const links = told.groups.slice(0, GROUPS_SHOWN).map((group) => this.groupLink(group));
    const heading = element("p", "quietly", `By error and instance.${more}`);
    const every = element("a", "chip", "All");
    every.href = this.page.addressOf(name);
    if (!this.isNarrowed) every.setAttribute("aria-current", "true");
    const list = element("ul", "", ...[every, ...links].map((link) => element("li", "", link)));
    this.groups.replaceChildren(heading, list);
    if (this.isNarrowed) this.offerMeant(told.groups);
  }

  groupLink(group) {
    const link = element("a", "chip", element("strong", "", count(group.count)), " ", isolated(group.error), " ");
    const where = element("span", "quietly", isolated(group.instance));
    link.append(where);
    link.href = this.page.addressOf(name, group.instance, group.error);
    if (group.instance === this.meant.instance && group.error === this.meant.error) {
      link.setAttribute("aria-current", "true");
    }
    return link;
  }

  /** Of those meant, as many as were counted; none of them: there is nothing to do. */
  offerMeant(groups) {
    const meant = groups.filter((group) =>
      [undefined, group.instance].includes(this.meant.instance) && [undefined, group.error].includes(this.meant.error));
    const sum = meant.reduce((all, group) => all + group.count, 0);
    this.many.offer(sum === 0 ? null : `Replay these ${count(sum)}`);
  }

  async replayAll(isStopped) {
    const sums = { done: 0, stuck: 0, wasLost: false };
    const say = (text) => put(this.progress, text);
    try {
      const newest = await this.page.ask("GET", PATH, { query: { limit: 1, ...this.meant } });
      const meant = { ...this.meant, until: newest.dead_letters[0]?.id };
      await decideAll(this.page, `${PATH}/replay`, meant, (told, wasLost) => {
        sums.done += told.replayed;
        sums.stuck += told.not_replayable;
        sums.wasLost = wasLost;
        this.total = told.total;
        say(`${count(sums.done)} handed over, ${count(told.total)} left…`);
        return !isStopped();
      });
      say(`${isStopped() ? "Stopped. " : ""}${resultOf(sums)}`);
    } catch (error) {
      if (error.status !== 401) say(`${resultOf(sums)} Then: ${refusalOf(error, "")} Replaying again does nothing twice.`);
    }
    setTimeout(() => this.look());
  }
}

/** What was done by a call whose answer was lost is done, and not counted. */
function resultOf({ done, stuck, wasLost }) {
  const rest = stuck > 0 ? ` ${counted(stuck, "letter")} hold no window that could be handed over.` : "";
  return `${wasLost ? "At least " : ""}${counted(done, "window")} handed over again. Each is handled once more, and its user answered once.${rest}`;
}

function factsOf(one) {
  const facts = [];
  if (one.instance !== null) facts.push(inSentence(one.instance));
  if (one.messages !== null) facts.push(counted(one.messages, "message"));
  if (one.attempts !== null) facts.push(counted(one.attempts, "attempt"));
  facts.push(ageOf(one.at));
  if (one.not_replayable !== null) facts.push(one.not_replayable);
  return facts;
}

function wholeOf(told, page) {
  const parts = [factList([
    ["User", userOf(told, page)],
    ["Given up", moment(told.at)],
    ["Window", told.window_id],
    ["Closed by", told.closed_by],
    ["Opened", told.opened_at === null ? null : moment(told.opened_at)],
    ["Dead letter", told.id],
  ])];
  if (told.whole_error) parts.push(element("h3", "", "The error"), wording(told.whole_error));
  if (told.raw) parts.push(element("h3", "", "What stands there"), wording(told.raw));
  if (told.contents.length > 0) parts.push(element("h3", "", counted(told.contents.length, "message")), messageList(told));
  return parts;
}

export function userOf(told, page) {
  if (told.user === null) return null;
  const link = element("a", "", isolated(told.user));
  link.href = page.addressOf("conversation", told.instance, told.user);
  return link;
}

function messageList({ contents }) {
  return element("ol", "messages", ...contents.map((one) => {
    const about = [moment(one.sent_at ?? one.received_at), one.kind, one.provider ?? "over the API"];
    if (one.name) about.push(one.name);
    if (one.file) about.push(one.file);
    const texts = [one.text, one.caption].filter((text) => text);
    return element("li", "", element("p", "quietly", about.join(" · ")), ...texts.map(wording));
  }));
}

function emptyState(isNarrowed, page) {
  const found = element("div", "card empty");
  if (isNarrowed) {
    found.append(
      element("p", "", "Nothing was given up of this instance and error, or it was replayed since."),
      button("plain", "Show all", () => page.go(name)),
    );
  } else {
    found.append(element("p", "", "Nothing was given up. A window comes here when its last attempt failed, "
      + "or when the handler rejects it: whole, with its error, to be replayed."));
  }
  return found;
}
