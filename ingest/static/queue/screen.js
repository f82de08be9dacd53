// The wall: who is called, and who is next.

import { animate, part, showView, write } from "../common/dom.js";
import { Chime } from "./chime.js";
import { clinic, listNumbers, Queue, showFigure, words } from "./queue.js";
import { nextNumbers } from "./state.js";

const NEXT_COUNT = 5;
const CLOCK_MS = 1000;
/** What a wall that was away is told at once, it calls once. */
const AT_ONCE_MS = 100;

const chime = new Chime();
let called;
let calling;

const queue = new Queue({
  onState: render,
  onUnknown: () => showView("unknown"),
});

function render() {
  const { state } = queue;
  document.title = words.say("titleScreen", { clinic });
  showClock();
  queue.showLink();
  if (state === null) return;
  showFigure("serving", state.serving);
  listNumbers("next", nextNumbers(state, NEXT_COUNT));
  write("waiting", words.say("waitingBefore", { count: state.waiting }));
  write(
    "said",
    state.serving === null ? words.say("saidNobody") : words.say("saidServing", { number: state.serving }),
  );
  if (called !== undefined && state.serving !== null && state.serving !== called) {
    clearTimeout(calling);
    calling = setTimeout(call, AT_ONCE_MS);
  }
  called = state.serving;
}

function call() {
  animate(part("now"), "called");
  chime.ring();
}

function showClock() {
  write("clock", words.time(new Date()));
}

async function toggleChime() {
  await chime.turn(!chime.isOn);
  part("chime").setAttribute("aria-pressed", String(chime.isOn));
}

part("clinic").textContent = clinic ?? "";
part("chime").addEventListener("click", toggleChime);
setInterval(showClock, CLOCK_MS);
words.begin(render);
queue.begin();
