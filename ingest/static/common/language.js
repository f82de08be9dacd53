// The language of a page, and its texts. Texts become text nodes only, never markup.

import { keep, kept } from "./keep.js";

const STORED = "inturn.language";
const DIRECTIONS = { en: "ltr", ar: "rtl" };

// Around what users and addresses say: its direction ends where it ends.
const ISOLATE = "\u2068";
const END_OF_ISOLATE = "\u2069";

/** What was chosen here before, else what the browser asks for, else English. */
function firstLanguage() {
  const wanted = [kept(STORED), ...navigator.languages.map((tag) => tag.split("-")[0])];
  return wanted.find((language) => Object.hasOwn(DIRECTIONS, language)) ?? "en";
}

export class Words {
  /** `texts[language][name]` is a text, or an object of texts by plural category. */
  constructor(texts) {
    this.texts = texts;
    this.listeners = [];
  }

  /** Write all texts of the page, and again whenever the switch is used. */
  begin(onChange = () => {}) {
    this.listeners.push(onChange);
    for (const button of document.querySelectorAll("[data-language]")) {
      button.addEventListener("click", () => {
        keep(STORED, button.dataset.language);
        this.choose(button.dataset.language);
      });
    }
    this.choose(firstLanguage());
  }

  choose(language) {
    this.language = language;
    // Ticket numbers are the same figures in every language: people compare phone and wall.
    this.numbers = new Intl.NumberFormat(`${language}-u-nu-latn`, { useGrouping: false });
    this.plurals = new Intl.PluralRules(language);
    this.times = new Intl.DateTimeFormat(regionalTag(language), { hour: "numeric", minute: "2-digit" });
    const root = document.documentElement;
    root.lang = language;
    root.dir = DIRECTIONS[language];
    for (const part of document.querySelectorAll("[data-text]")) {
      part.textContent = this.say(part.dataset.text);
    }
    for (const part of document.querySelectorAll("[data-label]")) {
      part.setAttribute("aria-label", this.say(part.dataset.label));
    }
    for (const button of document.querySelectorAll("[data-language]")) {
      button.hidden = button.dataset.language === language;
    }
    root.dataset.ready = "";
    this.listeners.forEach((changed) => changed());
  }

  /** The text of this name; `{count}` chooses the plural, other values are put in as they are. */
  say(name, values = {}) {
    const found = this.texts[this.language][name];
    const text = typeof found === "object" ? this.pluralOf(found, values.count) : found;
    return text.replace(/\{(\w+)\}/g, (_whole, key) => {
      const value = values[key];
      return typeof value === "number" ? this.number(value) : ISOLATE + value + END_OF_ISOLATE;
    });
  }

  pluralOf(forms, count) {
    return forms[`=${count}`] ?? forms[this.plurals.select(count)] ?? forms.other;
  }

  number(value) {
    return this.numbers.format(value);
  }

  time(date) {
    return this.times.format(date);
  }
}

/** With the region of the browser's own languages: it decides how a time of day is written. */
function regionalTag(language) {
  const tag = navigator.languages.find((one) => one.split("-")[0] === language) ?? language;
  return new Intl.Locale(tag, { numberingSystem: "latn" });
}
