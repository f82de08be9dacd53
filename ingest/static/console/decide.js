// Decisions about many things at once: page after page, so that each answer is short and a page that
// is closed in between has lost nothing.

import { persistently } from "../common/api.js";

/** Whoever clicked by mistake has so long to stop it. */
export const GRACE_MS = 3000;

/**
 * POST to `path` until there is nothing more to do. `onPage` is told each answer, and whether one
 * before it was lost; it says whether to go on. What was done is never done again: `until`, the
 * newest that one has seen, bounds it, and a call whose answer was lost finds nothing where it was.
 */
export async function decideAll(page, path, { until, ...meant }, onPage) {
  let going = { until };
  let wasLost = false;
  const onWait = () => {
    wasLost = true;
  };
  for (;;) {
    const body = { ...meant, ...going };
    const told = await persistently(() => page.ask("POST", path, { body }), { tries: 6, onWait });
    if (!onPage(told, wasLost) || told.next === null) return;
    going = { until: told.until, after: told.next };
  }
}

/** Why something was not done, in words. */
export function refusalOf(error, gone) {
  if (error.status === 404) return gone;
  if (error.code === "not_permitted") return "Redis does not permit this to ingest: see deploy/redis/users.acl.";
  if (error.code === "not_replayable") return "There is no window in it that could be handed over: discard it.";
  if (error.code === "not_now") return "Not now: it is being sent, or will be by itself.";
  return error.mayPass ? "No answer. Nothing is lost; try again." : `That was refused: ${error.code ?? error.message}.`;
}

/**
 * A button that does one thing for many, a moment after the click, and can be stopped until it is
 * done. `begin(isStopped)` does it; it says how far it is through `progress`.
 */
export class ManyButton {
  constructor(button, { begin, progress }) {
    this.button = button;
    this.begin = begin;
    this.progress = progress;
    this.label = "";
    this.run = null;
    button.addEventListener("click", () => (this.run === null ? this.start() : this.stop()));
  }

  get isBusy() {
    return this.run !== null;
  }

  /** What it says while it does nothing; null: there is nothing to do. */
  offer(label) {
    this.label = label ?? "";
    if (this.isBusy) return;
    this.button.hidden = label === null;
    this.button.textContent = this.label;
  }

  async start() {
    const run = { isStopped: false, wake: () => {} };
    this.run = run;
    this.button.textContent = "Stop";
    await this.countDown(run);
    if (!run.isStopped) await this.begin(() => run.isStopped);
    this.run = null;
    this.offer(this.label);
  }

  async countDown(run) {
    for (let left_s = GRACE_MS / 1000; left_s > 0 && !run.isStopped; left_s -= 1) {
      this.progress(`In ${left_s} s…`);
      await new Promise((resolve) => {
        run.wake = resolve;
        setTimeout(resolve, 1000);
      });
    }
    if (run.isStopped) this.progress("Stopped: nothing was done.");
  }

  stop() {
    if (this.run === null) return;
    this.run.isStopped = true;
    this.run.wake();
  }
}
