// Who is logged in: a cookie that scripts cannot read, so it is asked for.

import { ask } from "./api.js";

/** Whether this browser may do what needs the token. */
export async function hasSession() {
  return (await ask("GET", "/session")).logged_in;
}

export function logIn(token) {
  return ask("POST", "/session", { body: { token } });
}

export function logOut() {
  return ask("DELETE", "/session");
}
