// How numbers and times are written.

const NUMBERS = new Intl.NumberFormat("en");

export function count(value) {
  return NUMBERS.format(value);
}

/** Seconds, as one says them. */
export function age(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
