// The event log of the showcase: what each person saw, and how long after somebody asked for it.

import { languageOf, t } from "./page.js";

const ROWS_MAX = 100;
const CAUSE_MS = 5000; // what comes later has another cause

const $ = (id) => document.getElementById(id);

export class Log {
  /** @type {{at: Date, seenBy: string, what: () => string, reason: string, version: string, ms: number|null,
   *   isChange: boolean}[]} */
  #entries = []; // the newest first
  /** @type {Map<string, number>} when a user, named by id, last asked for a change */
  #asked = new Map();
  #changes = 0;
  /** @type {number|null} */
  #latest = null;

  /** That a user asks for a change. */
  asked(id) {
    this.#asked.set(String(id), performance.now());
  }

  /**
   * @param {string} seenBy a name
   * @param {() => string} what in the reader's language
   * @param {{about?: string, reason?: string, version?: number}} [details] `about`: the id of whom it
   *   tells; only then it is a change, with a latency, but for a login: that takes as long as its
   *   password's check, which is slow on purpose
   */
  add(seenBy, what, { about, reason = "", version } = {}) {
    const isChange = about !== undefined;
    const ms = isChange && reason !== "login" ? this.#since(about) : null;
    const entry = { at: new Date(), seenBy, what, reason, version: String(version ?? ""), ms, isChange };
    this.#entries = [entry, ...this.#entries].slice(0, ROWS_MAX);
    if (isChange) {
      this.#changes++;
      this.#latest = ms ?? this.#latest;
    }
    this.render();
  }

  #since(id) {
    const ms = performance.now() - (this.#asked.get(id) ?? -Infinity);
    this.#asked.delete(id); // the next event has another cause
    return ms < CAUSE_MS ? ms : null;
  }

  render() {
    const clock = new Intl.DateTimeFormat(languageOf(), { timeStyle: "medium" });
    $("log").replaceChildren(...this.#entries.map((entry) => rowOf(entry, clock)));
    $("log-table").hidden = this.#entries.length === 0;
    $("log-empty").hidden = this.#entries.length > 0;
    $("latency").textContent = inMilliseconds(this.#latest);
    $("changes").textContent = String(this.#changes);
    const change = this.#entries.find(({ ms }) => ms !== null);
    $("ticker").hidden = change === undefined;
    if (change === undefined) return;
    $("ticker-what").textContent = `${change.seenBy} ← ${change.what()}`;
    $("ticker-ms").textContent = inMilliseconds(change.ms);
  }
}

function rowOf({ at, seenBy, what, reason, version, ms, isChange }, clock) {
  const row = document.createElement("tr");
  const cells = { time: clock.format(at), by: seenBy, what: what(), reason, version };
  for (const [name, text] of Object.entries({ ...cells, after: isChange ? inMilliseconds(ms) : "" })) {
    const cell = document.createElement("td");
    cell.className = name;
    cell.textContent = text;
    row.append(cell);
  }
  row.className = isChange ? "change" : "";
  return row;
}

function inMilliseconds(ms) {
  return ms === null ? "–" : t("figure.milliseconds", { ms: ms < 10 ? ms.toFixed(1) : Math.round(ms) });
}
