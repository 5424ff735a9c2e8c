// One person's friends: who they are, how they look now, and what is known of them besides.

import { formatLastSeen, untilLastSeenChanges } from "./presence.js";
import { block, getBlocks, unblock } from "./extras.js";
import { copyOf, languageOf, t } from "./page.js";

const KNOWN = ["online", "away", "busy", "meeting", "dnd", "offline"];

/** "In a meeting · ☕ Room 4"; what a user wrote is shown as text, never as HTML. */
export function wordsOf({ status, text, emoji }) {
  const word = t(`status.${KNOWN.includes(status) ? status : "online"}`);
  return [word, [emoji, text].filter(Boolean).join(" ")].filter(Boolean).join(" · ");
}

export function paintFace(face, id, name) {
  let hue = 0;
  for (const char of id + name) hue = (hue * 31 + char.codePointAt(0)) % 360;
  face.style.setProperty("--hue", hue);
  face.textContent = [...name][0]?.toLocaleUpperCase() ?? "?";
}

/** Online ones first, then the most recently seen; whom nothing is known of by name. */
function byInterest(a, b) {
  return (
    Number(b.status?.is_online ?? false) - Number(a.status?.is_online ?? false) ||
    (a.status?.is_online ? 0 : (b.status?.last_seen ?? "").localeCompare(a.status?.last_seen ?? "")) ||
    a.name.localeCompare(b.name)
  );
}

export class FriendList {
  #root;
  #client;
  #typing;
  #nearby;
  #attempt;
  /** @type {Map<string, string>} names by id, of the directory; there before any state is */
  #names = new Map();
  /** @type {Set<string>} */
  #blocked = new Set();
  #timer = 0;

  /**
   * @param {HTMLElement} root
   * @param {import("./presence.js").PresenceClient} client
   * @param {{typing: import("./extras.js").Typing, nearby: import("./extras.js").Nearby, attempt: (run: () => Promise<void>) => void}} parts
   *   `attempt` runs what the server may refuse
   */
  constructor(root, client, { typing, nearby, attempt }) {
    this.#root = root;
    this.#client = client;
    this.#typing = typing;
    this.#nearby = nearby;
    this.#attempt = attempt;
    typing.subscribe(() => this.render());
    nearby.subscribe(() => this.render());
  }

  nameOf(id) {
    return this.#names.get(String(id)) ?? t("friends.user", { id });
  }

  /** Ids and names of the friends, by name. */
  get all() {
    return [...this.#names].map(([id, name]) => ({ id, name }));
  }

  async load() {
    const list = await this.#client.call("GET", "/friends/list");
    this.#names = new Map(list.map((friend) => [String(friend.user_id), friend.name]));
    this.render();
    await this.#loadBlocks();
  }

  async #loadBlocks() {
    this.#blocked = new Set((await getBlocks(this.#client)).map(String));
    this.render();
  }

  close() {
    clearTimeout(this.#timer);
  }

  render() {
    const { friends } = this.#client;
    const ids = new Set([...this.#names.keys(), ...friends.keys()]);
    const views = [...ids].map((id) => ({ id, name: this.nameOf(id), status: friends.get(id) }));
    views.sort(byInterest);
    const rows = views.map((view) => this.#draw(view));
    this.#place(rows);
    const online = views.filter(({ status }) => status?.is_online).length;
    const count = { online, all: views.length };
    this.#root.querySelector(".count").textContent = friends.size > 0 ? t("friends.count", count) : "";
    this.#root.querySelector(".nobody").hidden = views.length > 0;
    this.#renderWhenTimesChange(views);
  }

  /** A row that is moved loses its focus and starts its animation over: only when the order is new. */
  #place(rows) {
    const list = this.#root.querySelector("ul");
    const isSame = rows.length === list.children.length && rows.every((row, i) => row === list.children[i]);
    if (isSame) return;
    const focused = document.activeElement;
    list.replaceChildren(...rows);
    if (list.contains(focused)) focused.focus();
  }

  #renderWhenTimesChange(views) {
    const now = this.#client.now();
    const times = views.map(({ status }) => status?.last_seen).filter(Boolean);
    clearTimeout(this.#timer);
    if (times.length === 0) return;
    const wait = Math.min(...times.map((time) => untilLastSeenChanges(time, now)));
    this.#timer = setTimeout(() => this.render(), wait);
  }

  #draw({ id, name, status }) {
    const row = this.#rowOf(id);
    const isTyping = this.#typing.getSnapshot().has(id);
    const isBlocked = this.#blocked.has(id);
    row.dataset.online = String(status?.is_online ?? false);
    row.querySelector(".dot").dataset.status = status?.status ?? "unknown";
    row.querySelector(".name").textContent = name;
    row.querySelector(".name").title = name;
    paintFace(row.querySelector(".face"), id, name);
    row.querySelector(".typing").hidden = !isTyping;
    row.querySelector(".near").hidden = !this.#nearby.getSnapshot().has(id);
    this.#drawWords(row.querySelector(".words"), status, isTyping);
    const button = row.querySelector("button");
    button.textContent = t(isBlocked ? "friends.unblock" : "friends.block");
    button.setAttribute("aria-label", t(isBlocked ? "friends.unblock_name" : "friends.block_name", { name }));
    return row;
  }

  #rowOf(id) {
    const there = this.#root.querySelector(`[data-id="${CSS.escape(id)}"]`);
    if (there !== null) return there;
    const row = copyOf("friend");
    row.dataset.id = id;
    row.querySelector("button").addEventListener("click", () => this.#attempt(() => this.#toggleBlock(id)));
    return row;
  }

  async #toggleBlock(id) {
    await (this.#blocked.has(id) ? unblock : block)(this.#client, id);
    await this.#loadBlocks();
  }

  #drawWords(words, status, isTyping) {
    words.hidden = isTyping;
    words.removeAttribute("datetime");
    words.title = "";
    if (status === undefined) {
      words.textContent = t("status.unknown");
    } else if (status.is_online) {
      words.textContent = wordsOf(status);
    } else if (status.last_seen === null) {
      words.textContent = t("seen.never");
    } else {
      const ago = formatLastSeen(status.last_seen, { locale: languageOf(), now: this.#client.now() });
      words.textContent = t(status.last_seen_coarse ? "seen.about" : "seen.at", { ago });
      words.dateTime = status.last_seen;
      words.title = new Date(status.last_seen).toLocaleString(languageOf());
    }
  }

  /** Shows that a friend has just changed. */
  flash(id) {
    const row = this.#root.querySelector(`[data-id="${CSS.escape(id)}"]`);
    if (row === null) return;
    row.classList.remove("fresh");
    void row.offsetWidth; // so that the animation starts over
    row.classList.add("fresh");
  }
}
