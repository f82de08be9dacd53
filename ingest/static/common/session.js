// Who is logged in: a cookie that scripts cannot read, so it is asked for.

import { ask } from "./api.js";
import { part } from "./dom.js";

/** Whether this browser may do what needs the token. */
export async function hasSession() {
  return (await ask("GET", "/session")).logged_in;
}

export function logIn(token) {
  return ask("POST", "/session", { body: { token } });
}

/** Log in with what stands in the field of the token; whether it was right. `say` tells why not. */
export async function logInByForm(say) {
  const field = part("token");
  try {
    await logIn(field.value);
  } catch (error) {
    say(error.status === 401 ? "This token is not right." : "That did not work. Please try again.");
    field.select();
    return false;
  }
  field.value = "";
  return true;
}

export function logOut() {
  return ask("DELETE", "/session");
}
