// How numbers and times are written.

const NUMBERS = new Intl.NumberFormat("en");
const TENTHS = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export function count(value) {
  return NUMBERS.format(value);
}

/** `count` with its noun: "1 message", "2 messages". */
export function counted(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** `counted` with its verb: "1 window waits", "2 windows wait". */
export function doing(value, noun, verb) {
  return `${counted(value, noun)} ${verb}${value === 1 ? "s" : ""}`;
}

/** So many in a second; null: not known yet. */
export function rate(value) {
  if (value === null) return "–";
  return value < 100 && !Number.isInteger(value) ? TENTHS.format(value) : count(Math.round(value));
}

/** Seconds, as one says them. */
export function age(seconds) {
  if (seconds < 10) return `${TENTHS.format(Math.max(0, seconds))} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}

/** Milliseconds; null: not known. */
export function span(ms) {
  if (ms === null) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : age(ms / 1000);
}

/** A name within a sentence, which it does not turn around, whatever its script. */
export function inSentence(name) {
  return `\u2068${name}\u2069`;
}

/** A few names, and how many more there are. */
export function listed({ instances, more }) {
  const names = instances.map(inSentence).join(", ");
  return more > 0 ? `${names} and ${count(more)} more` : names;
}
