// The dashboard's look at one user: what presencectl explain says, the sessions, and their end.

import { ApiError } from "./presence.js";
import { wordsOf } from "./friends.js";
import { explain, onLanguage, t } from "./page.js";

const $ = (id) => document.getElementById(id);

/** The calls of docs/api.md, "For operators". */
async function call(base, token, method, path) {
  let answer;
  try {
    const headers = { Authorization: `Bearer ${token}` };
    answer = await fetch(`${base}/admin/user/${path}`, { method, headers, cache: "no-store" });
  } catch {
    throw new ApiError("network", "");
  }
  if (!answer.ok) throw await ApiError.of(answer);
  return answer.status === 204 ? null : answer.json();
}

/** What says how a user looks, in words and numbers, with the keys of their labels. */
function factsOf({ status, sees, is_friend: isFriend, blocks, blocked_by: blockedBy, in_online_users: isMember }) {
  const yes = (flag) => (flag === undefined || flag === null ? "–" : t(flag ? "user.yes" : "user.no"));
  return {
    "user.status": status ? wordsOf(status) : "–",
    "user.sees": sees ? wordsOf(sees) : "–",
    "user.friend": yes(isFriend),
    "user.blocked": yes(Boolean(blocks || blockedBy)),
    "user.member": yes(isMember),
    "user.version": String(status?.version ?? "–"),
  };
}

export class Lookup {
  #base;
  /** An operator's. */
  token = "";
  /** @type {object|null} the last answer */
  #user = null;
  /** @type {() => string} */
  #notice = () => "";

  constructor(base) {
    this.#base = base;
    $("lookup").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#attempt(() => this.#look());
    });
    $("kick").addEventListener("click", () => this.#attempt(() => this.#kick()));
    onLanguage(() => this.#render());
  }

  async #look() {
    const { id, viewer } = Object.fromEntries(new FormData($("lookup")));
    const query = viewer.trim() === "" ? "" : `?viewer=${encodeURIComponent(viewer.trim())}`;
    this.#user = null;
    const answer = await call(this.#base, this.token, "GET", `${encodeURIComponent(id.trim())}${query}`);
    this.#user = { id: id.trim(), ...answer };
  }

  async #kick() {
    const { id } = this.#user;
    if (!confirm(t("user.kick_sure", { id }))) return;
    await call(this.#base, this.token, "POST", `${encodeURIComponent(id)}/kick`);
    await this.#look();
    this.#notice = () => t("user.kicked", { id });
  }

  async #attempt(run) {
    this.#notice = () => "";
    try {
      await run();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#notice = () => explain(error);
    }
    this.#render();
  }

  #render() {
    $("user-notice").textContent = this.#notice();
    $("user-notice").hidden = this.#notice() === "";
    $("user").hidden = this.#user === null;
    if (this.#user === null) return;
    $("conclusion").textContent = this.#user.conclusion ?? "";
    $("facts").replaceChildren(
      ...Object.entries(factsOf(this.#user)).map(([label, value]) => {
        const row = document.createElement("div");
        row.append(elementOf("dt", t(label)), elementOf("dd", value));
        return row;
      }),
    );
    const sessions = this.#user.sessions ?? [];
    $("sessions").replaceChildren(...sessions.map(rowOfSession));
    $("sessions-table").hidden = sessions.length === 0;
    $("sessions-none").hidden = sessions.length > 0;
  }
}

function elementOf(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

function rowOfSession({ kind, tok, closing, expires_in_ms: left }) {
  const row = document.createElement("tr");
  const lasts = left > 0 ? t("user.seconds", { seconds: Math.ceil(left / 1000) }) : t("user.lapsed");
  const name = elementOf("td", "");
  name.append(elementOf("code", tok));
  row.append(
    elementOf("td", t(kind === "stream" ? "user.stream" : "user.token")),
    name,
    elementOf("td", closing ? `${lasts}, ${t("user.closing")}` : lasts),
  );
  return row;
}
