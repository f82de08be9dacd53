// Calls of the API. Both errors mean that nothing is to be shown as done.

const LIMIT_MS = 10_000;

/** The service said no: `code` as in its JSON, "unavailable" for what may be tried again; `said` why. */
export class Refused extends Error {
  constructor(status, code, said) {
    super(`${status} ${code}`);
    this.status = status;
    this.code = code;
    this.said = said;
  }

  get mayPass() {
    return this.status === 429 || this.status >= 500;
  }
}

/** No answer: it is unknown whether the call was carried out. */
export class Unreachable extends Error {
  get mayPass() {
    return true;
  }
}

export async function ask(method, path, { query, body, key } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key !== undefined) headers["Idempotency-Key"] = key;
  const target = query === undefined ? path : `${path}?${new URLSearchParams(query)}`;
  let answer;
  try {
    answer = await fetch(target, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout?.(LIMIT_MS), // missing in browsers of 2021
    });
  } catch (error) {
    throw new Unreachable(String(error));
  }
  return await readAnswer(answer);
}

async function readAnswer(answer) {
  let said = null;
  try {
    said = answer.status === 204 ? null : await answer.json();
  } catch (error) {
    // A proxy's error page, or a body that was cut.
    if (answer.ok) throw new Unreachable(String(error));
  }
  if (!answer.ok) throw new Refused(answer.status, said?.error?.code ?? "unavailable", said?.error?.message);
  return said;
}

/** `act` until it succeeds or is refused for good; `onWait` hears of each failure in between. */
export async function persistently(act, { tries = 5, onWait = () => {} } = {}) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await act();
    } catch (error) {
      if (!error.mayPass || tried >= tries) throw error;
      onWait(error);
      await pause(backoff_ms(tried));
    }
  }
}

/** Doubling from a second to half a minute, half of it drawn: phones must not come back at once. */
export function backoff_ms(tried) {
  const longest = Math.min(30_000, 1000 * 2 ** (tried - 1));
  return longest / 2 + (Math.random() * longest) / 2;
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
