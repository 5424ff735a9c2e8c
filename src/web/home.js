// What one person of the showcase sees once logged in: the connection, oneself, the friends.

import { ApiError, PresenceClient } from "./presence.js";
import { Nearby, Typing } from "./extras.js";
import { Controls } from "./controls.js";
import { FriendList, paintFace, wordsOf } from "./friends.js";
import { copyOf, explain, t } from "./page.js";

const ENDS = ["token_expired", "token_invalid", "revoked"]; // of a session
/** ?poll=MS in the page's URL: how often to ask where the site has no streams. */
const POLL_MS = Number(new URLSearchParams(location.search).get("poll")) || undefined;

/** Tells when something is asked for that others will see. */
class TimedClient extends PresenceClient {
  onAsk = () => {};

  call(method, path, body) {
    if (method !== "GET") this.onAsk();
    return super.call(method, path, body);
  }
}

const isCurrent = (state) => state === "live" || state === "polling";

export class Home {
  #root;
  #session;
  #log;
  #on;
  #client;
  #friends;
  #controls;
  #parts;
  #isEnding = false;
  /** @type {import("./presence.js").Problem|null} why there is no connection */
  #problem = null;
  /** @type {{code: string, status: number}|null} what the server refused last */
  #refused = null;

  /**
   * @param {HTMLElement} root
   * @param {import("./login.js").Session} session its token is replaced when it is renewed
   * @param {{base: string, log: import("./log.js").Log, on: {renewed(): void,
   *   ended(notice?: () => string): void, changed(id: string, words: () => string): void,
   *   loaded(): void}}} options
   */
  constructor(root, session, { base, log, on }) {
    this.#session = session;
    this.#log = log;
    this.#on = on;
    this.#root = copyOf("home");
    this.#client = new TimedClient({ base, getToken: (why) => this.#getToken(why), pollMs: POLL_MS });
    this.#client.onAsk = () => log.asked(this.id);
    const attempt = (run) => this.#attempt(run);
    const typing = new Typing(this.#client);
    const nearby = new Nearby(this.#client);
    this.#parts = [typing, nearby];
    this.#friends = new FriendList(this.#find(".friends"), this.#client, { typing, nearby, attempt });
    this.#controls = new Controls(this.#root, this.#client, { typing, attempt });
    this.#listen();
    root.replaceChildren(this.#root);
    this.render();
    this.#client.connect();
    this.#load();
  }

  get id() {
    return String(this.#session.user.user_id);
  }

  get client() {
    return this.#client;
  }

  #find(selector) {
    return this.#root.querySelector(selector);
  }

  focus() {
    this.#find(".my-name").focus();
  }

  /** @param {string} id of the friend whom this person sees on the other side */
  writeTo(id) {
    this.#controls.writeTo(id);
  }

  close() {
    this.#isEnding = true;
    this.#controls.close();
    for (const part of this.#parts) part.close();
    this.#friends.close();
    this.#client.close();
  }

  // --- the session ---

  /** A new token in time, so that a page that stays open stays logged in. */
  async #getToken({ reason }) {
    if (reason !== "expiring") return this.#session.token;
    const answer = await this.#client.call("POST", "/auth/refresh").catch(() => null);
    if (answer !== null) {
      this.#session.token = answer.access_token;
      this.#on.renewed();
    }
    return this.#session.token;
  }

  async #logOut() {
    if (this.#client.state === "closed") return; // it is under way
    // Closed first: the server ends this stream with "revoked", which is no news here.
    this.#client.close();
    try {
      await this.#client.call("POST", "/auth/logout");
      this.#on.ended();
    } catch (error) {
      if (error.status === 401) {
        this.#on.ended(); // already refused: then logged out is what we are
        return;
      }
      this.#refuse(error);
      this.#client.connect();
    }
  }

  /** The stream tells of a session that has ended; until the names are there ids are shown. */
  async #load() {
    try {
      await this.#friends.load();
      this.#controls.showFriends(this.#friends.all);
      this.#on.loaded();
      await this.#controls.load();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }

  // --- what comes ---

  #listen() {
    const on = (name, run) => this.#client.addEventListener(name, ({ detail }) => this.#isEnding || run(detail));
    on("state", ({ state }) => this.#onState(state));
    on("change", (detail) => this.#onChange(detail));
    on("self", (status) => this.#onSelf(status));
    on("error", (problem) => this.#onProblem(problem));
    on("typing", ({ user_id: id, typing }) => {
      const what = typing ? "log.typing" : "log.typing_over";
      this.#note(() => t(what, { name: this.#friends.nameOf(id) }), { about: String(id), reason: "typing" });
    });
    on("nearby", ({ user_id: id, nearby }) => {
      const what = nearby ? "log.near" : "log.far";
      this.#note(() => t(what, { name: this.#friends.nameOf(id) }), { about: String(id), reason: "nearby" });
    });
    on("bye", ({ reason }) => {
      if (ENDS.includes(reason)) this.#on.ended(() => t(`bye.${reason}`));
    });
    this.#find(".log-out").addEventListener("click", () => this.#logOut());
  }

  #note(what, details) {
    this.#log.add(this.#session.user.name, what, details);
  }

  #onState(state) {
    if (isCurrent(state)) this.#problem = null;
    this.#note(() => t("log.connection", { state: t(`connection.${state}`) }));
    this.render();
  }

  #onProblem(problem) {
    this.#problem = { ...problem, at: Date.now() };
    this.#renderNotices();
  }

  #onSelf(status) {
    this.#controls.onSelf(status);
    this.#renderSelf();
  }

  #onChange({ full, changes }) {
    this.#friends.render();
    if (full) this.#note(() => t("log.snapshot", { count: changes.length }), { reason: "initial" });
    for (const { id, status, before, reason } of changes) {
      if (before === undefined || before.version === status.version) continue;
      const words = () => t("log.status", { name: this.#friends.nameOf(id), words: wordsOf(status) });
      if (!full) this.#note(words, { about: id, reason: reason ?? "", version: status.version });
      this.#friends.flash(id);
      this.#on.changed(id, words);
    }
  }

  // --- what is shown ---

  /** Everything, in the reader's language. */
  render() {
    const { name } = this.#session.user;
    const { state } = this.#client;
    this.#find(".my-name").textContent = name;
    this.#find(".my-name").title = name;
    paintFace(this.#find(".me .face"), this.id, name);
    this.#find(".connection").dataset.state = state;
    this.#find(".connection").textContent = t(`connection.${state}`);
    this.#root.dataset.stale = String(!isCurrent(state));
    this.#renderSelf();
    this.#renderNotices();
    this.#friends.render();
  }

  #renderSelf() {
    const self = this.#client.self;
    const words = self === null ? t("status.unknown") : wordsOf(self);
    this.#find(".my-state").textContent = self?.invisible ? t("status.invisible_self") : words;
    this.#find(".me .dot").dataset.status = self?.invisible ? "invisible" : (self?.status ?? "unknown");
  }

  #renderNotices() {
    const put = (selector, text) => {
      this.#find(selector).textContent = text;
      this.#find(selector).hidden = text === "";
    };
    put(".refused", this.#refused === null ? "" : explain(this.#refused));
    put(".problem", this.#problem === null ? "" : this.#problemInWords());
  }

  #problemInWords() {
    const { retryInMs } = this.#problem;
    const again = retryInMs === null ? "" : t("error.again", { seconds: Math.ceil(retryInMs / 1000) });
    return `${explain(this.#problem)} ${again}`.trim();
  }

  /** Runs what the server, or the device, may refuse, and says why. */
  async #attempt(run) {
    this.#refused = null;
    this.#renderNotices();
    try {
      await run();
    } catch (error) {
      if (error instanceof ApiError) this.#refuse(error);
      else if (error instanceof GeolocationPositionError) this.#refuse({ code: "place", status: 0 });
      else throw error;
    }
  }

  #refuse(error) {
    this.#refused = error;
    this.#renderNotices();
  }
}
