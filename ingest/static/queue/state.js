// What a queue's state says. `state` has `serving`, `last` and `waiting`, as events and status do.

/** Numbers up to this one were called. */
export function lastCalled(state) {
  return state.last - state.waiting;
}

/**
 * Where `number` is: `{view, ahead}`. "gone": numbers have begun anew since it was given.
 * Who is being served is not counted in `ahead`.
 */
export function placeOf(state, number) {
  if (number === null || number === undefined) return { view: "none", ahead: 0 };
  if (number > state.last) return { view: "gone", ahead: 0 };
  const ahead = number - lastCalled(state) - 1;
  if (ahead >= 0) return { view: "waiting", ahead };
  return { view: number === state.serving ? "serving" : "served", ahead: 0 };
}

/** The next `count` numbers that will be called. */
export function nextNumbers(state, count) {
  const first = lastCalled(state) + 1;
  return Array.from({ length: Math.min(count, state.waiting) }, (_, i) => first + i);
}

/** Seconds until somebody with `ahead` people before them is called; null while nobody knows. */
export function expectedWait_s(state, ahead) {
  if (state.average_service_s === null) return null;
  return state.average_service_s * (ahead + (state.serving === null ? 0 : 1));
}
