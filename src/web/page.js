// What the pages share: the reader's language and its texts, the words for what went wrong, and what
// the site says of itself in site.json.

import { TEXTS } from "./texts.js";

const STORE = "presence-language";

/** @type {Set<() => void>} */
const listeners = new Set();
let language = preferred();

/** What was chosen by hand, else the first of the browser's languages that there are texts in. */
function preferred() {
  const wanted = [localStorage.getItem(STORE), ...navigator.languages];
  const known = wanted.map((tag) => tag?.slice(0, 2)).find((tag) => tag in TEXTS);
  return known ?? "en";
}

/** The language of the texts, "en" or "ko". */
export const languageOf = () => language;

/** The text of a key in the reader's language, with the values for its {names}. */
export function t(key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Puts texts where the document names them: data-text, data-label (for aria-label), data-hint. */
export function applyTexts(root) {
  const each = (name, put) => {
    for (const element of root.querySelectorAll(`[data-${name}]`)) {
      put(element, t(element.dataset[name]));
    }
  };
  each("text", (element, text) => (element.textContent = text));
  each("label", (element, text) => element.setAttribute("aria-label", text));
  each("hint", (element, text) => (element.placeholder = text));
}

/** Calls the listener whenever the reader has chosen another language. */
export function onLanguage(listener) {
  listeners.add(listener);
}

function show() {
  document.documentElement.lang = language;
  applyTexts(document);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
}

/** For each page, once: its texts and the buttons that choose the language. */
export function startPage() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      language = button.dataset.language;
      localStorage.setItem(STORE, language);
      show();
      for (const listener of listeners) listener();
    });
  }
  show();
  document.querySelector("main").hidden = false;
}

/** A copy of what a <template> holds, with its texts. */
export function copyOf(id) {
  const copy = document.getElementById(id).content.firstElementChild.cloneNode(true);
  applyTexts(copy);
  return copy;
}

/**
 * What went wrong, in the reader's words. What the server says of it is for whoever writes programs.
 * @param {{code: string, status: number}} error
 */
export function explain({ code, status }) {
  const key = `error.${code}`;
  if (key in TEXTS.en) return t(key);
  if (status >= 500) return t("error.unavailable");
  return t("error.other");
}

/**
 * Where the API is, and the accounts of a demo, which the login forms then offer. A site may serve a
 * site.json of its own.
 * @returns {Promise<{base: string, accounts: {email: string, name: string}[], password: string}>}
 */
export async function readSite() {
  const nothing = { base: "/api", accounts: [], password: "" };
  try {
    const answer = await fetch("site.json");
    return { ...nothing, ...(await answer.json()) };
  } catch {
    return nothing;
  }
}
