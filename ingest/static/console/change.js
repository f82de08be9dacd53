// The dialog in which an instance's settings are changed at run time.

import { element, put } from "../common/dom.js";

const NUMBERS = [
  ["max_wait_ms", "A window closes after, in ms", 1],
  ["max_messages", "or with so many messages", 1],
  ["quiet_ms", "or after a silence of, in ms (0: off)", 0],
  ["grace_ms", "Grace where a clock is wrong, in ms", 0],
];
const MODES = [["", "as configured"], ["window", "window"], ["pass_through", "pass through: each message alone"]];
const SOURCES = { instance: "this instance’s settings", settings: "the settings", default: "the default" };

/**
 * `save` gets what differs, null for what is as configured again. Both tell whether it was done, and
 * say why not: here, for what is behind a dialog is not seen.
 */
export function openChange(root, one, { save, takeBack }) {
  const fields = [modeField(one.settings.mode), ...NUMBERS.map((number) => numberField(one.settings, number))];
  const saving = button("Save", "strong", "submit");
  const backing = button("Take all back", "danger", "button");
  const closing = button("Close", "plain", "button");
  const head = element("h2", "");
  const whose = element("bdi", "", one.instance);
  head.append("Change ", whose);
  head.id = "change-title";
  const more = element("p", "quietly", "It holds within two seconds for windows that open from then on, and until it is taken back. An empty field is as configured.");
  const said = element("p", "notice");
  said.setAttribute("role", "alert");
  const say = (text) => put(said, text);
  const form = element("form", "change", ...fields.map((field) => field.frame), said, saving, backing, closing);
  const dialog = element("dialog", "", head, more, form);
  dialog.setAttribute("aria-labelledby", head.id);
  root.append(dialog);
  const end = (isDone) => isDone && dialog.close();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const changes = Object.fromEntries(fields.filter((field) => field.hasChanged()).map((field) => [field.name, field.value()]));
    end(Object.keys(changes).length === 0 || (await save(changes, say)));
  });
  backing.addEventListener("click", async () => end(await takeBack(say)));
  closing.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}

function modeField(setting) {
  const choice = element("select", "");
  for (const [value, text] of MODES) choice.append(new Option(text, value));
  choice.value = steeredText(setting);
  return field("mode", "Mode", choice, setting, (text) => text);
}

function numberField(settings, [name, label, least]) {
  const input = element("input", "");
  input.type = "number";
  input.min = String(least);
  input.step = "1";
  input.value = steeredText(settings[name]);
  input.placeholder = String(settings[name].configured);
  return field(name, label, input, settings[name], Number);
}

function steeredText({ from, value }) {
  return from === "run_time" ? String(value) : "";
}

function field(name, label, control, setting, valueOf) {
  const before = control.value;
  control.name = name;
  const from = SOURCES[setting.from] ?? "run time";
  const hint = setting.from === "run_time"
    ? `configured: ${setting.configured}` : `now ${setting.value}, from ${from}`;
  return {
    name,
    frame: element("label", "", element("span", "", label), control, element("small", "quietly", hint)),
    hasChanged: () => control.value !== before,
    value: () => (control.value === "" ? null : valueOf(control.value)),
  };
}

function button(text, className, type) {
  const found = element("button", className, text);
  found.type = type;
  return found;
}
