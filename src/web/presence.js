// The client library: who of my friends is online, live. No dependencies.
//
//   const client = new PresenceClient({ token });
//   client.addEventListener("change", () => console.log([...client.friends.values()]));
//   client.connect();

/**
 * A user's state, as the server sends it.
 * @typedef {object} Status
 * @property {number|string} user_id
 * @property {boolean} is_online
 * @property {"online"|"offline"} status
 * @property {string} [last_activity] RFC 3339, when online
 * @property {string|null} [last_seen] RFC 3339, when offline; null = never seen
 * @property {number} version grows with every change of this user
 */

/** @typedef {"connecting"|"live"|"degraded"|"closed"} State */

/**
 * @typedef {object} Options
 * @property {string} [base] where the API lives, "/api" unless given; may be on another origin
 * @property {string} [token] the JSON Web Token, or
 * @property {() => string|Promise<string>} [getToken] what gives the current one for each connection
 * @property {number} [retryMs] the first wait before reconnecting, 2000 unless given; it doubles
 *   with each failure, up to a minute, and each wait is spread over 50 to 150 % of its value
 */

const RETRY_MAX_MS = 60000;
const HEARTBEAT_SECONDS = 30; // until the server has said its own
const QUIET_HEARTBEATS = 2.5; // a stream that says nothing for so long is dead

/** Answers of the server that no further attempt with this token can change. */
const FINAL = {
  token_expired: "token_expired",
  token_revoked: "revoked",
  token_invalid: "token_invalid",
};

/** The server has refused the token. */
class Refusal extends Error {}

/**
 * Events:
 * - "change", detail {full, changes: [{id, status, before, reason}]}: `friends` is new. `full`: the
 *   whole view was replaced, by the first snapshot or by one after a gap.
 * - "state", detail {state}: connecting, live, degraded (what is shown may be stale) or closed.
 * - "bye", detail {reason}: the server ended the stream: token_expired, revoked, token_invalid
 *   (then the client has closed itself), shutdown or lifetime (then it reconnects).
 */
export class PresenceClient extends EventTarget {
  /** @type {Map<string, Status>} by user id, as text; read-only for the user of the class */
  friends = new Map();
  /** @type {State} */
  state = "closed";
  /** @type {number|string|null} one's own id, once connected */
  userId = null;
  /** Milliseconds to add to this computer's clock to get the server's. */
  clockOffset = 0;

  /** @type {EventSource|null} */
  #source = null;
  /** Counts connections, so that an answer to an earlier one is known as such. */
  #attempt = 0;
  #failures = 0;
  #quietMs = QUIET_HEARTBEATS * HEARTBEAT_SECONDS * 1000;
  #lastEvent = 0;
  #retryTimer = 0;
  #watchdog = 0;

  /** @param {Options} options */
  constructor({ base = "/api", token, getToken, retryMs = 2000 } = {}) {
    super();
    this.base = base;
    this.getToken = getToken ?? (() => token);
    this.retryMs = retryMs;
  }

  /** Starts, or starts anew; reconnects by itself until close(). */
  connect() {
    this.#failures = 0;
    this.#open();
  }

  close() {
    this.#drop();
    this.#setState("closed");
  }

  /**
   * The stream's URL, made anew for each connection. An EventSource can send no Authorization
   * header, so the URL carries a ticket: good once, for seconds, so that no log keeps a token.
   * @returns {Promise<string>}
   */
  async streamUrl() {
    const answer = await fetch(this.#url("/presence/ticket"), {
      method: "POST",
      headers: { Authorization: `Bearer ${await this.getToken()}` },
      cache: "no-store",
      signal: AbortSignal.timeout(this.#quietMs),
    });
    const data = await answer.json();
    if (data.code in FINAL) throw new Refusal(FINAL[data.code]);
    if (!answer.ok) throw new Error(data.detail);
    const url = this.#url("/presence/stream");
    url.searchParams.set("ticket", data.ticket);
    return url.href;
  }

  #url(path) {
    return new URL(this.base + path, document.baseURI);
  }

  async #open() {
    this.#drop();
    const attempt = this.#attempt;
    this.#setState("connecting");
    let url;
    try {
      url = await this.streamUrl();
    } catch (error) {
      if (attempt !== this.#attempt) return; // closed or connected anew meanwhile
      if (error instanceof Refusal) this.#end(error.message);
      else this.#retry();
      return;
    }
    if (attempt === this.#attempt) this.#listen(new EventSource(url));
  }

  /** @param {EventSource} source */
  #listen(source) {
    const on = (name, handle) =>
      source.addEventListener(name, (event) => {
        if (source !== this.#source) return;
        this.#lastEvent = performance.now();
        handle.call(this, JSON.parse(event.data));
      });
    on("connected", this.#onConnected);
    on("initial", this.#onInitial);
    on("status_change", this.#onStatusChange);
    on("heartbeat", () => {});
    on("degraded", () => this.#setState("degraded"));
    on("bye", this.#onBye);
    // Left to itself it would give up for good on any answer but 200, or come back with a ticket
    // that is used up.
    source.addEventListener("error", () => {
      if (source === this.#source) this.#retry();
    });
    this.#source = source;
    this.#lastEvent = performance.now();
    this.#watch();
  }

  #drop() {
    this.#attempt++;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#watchdog);
    this.#source?.close();
    this.#source = null;
  }

  /** Waits longer after each failure, and never as long as the next client. */
  #retry() {
    this.#drop();
    this.#setState("connecting");
    const wait = Math.min(this.retryMs * 2 ** this.#failures, RETRY_MAX_MS);
    this.#failures++;
    this.#retryTimer = setTimeout(() => this.#open(), wait * (0.5 + Math.random()));
  }

  /** A dead connection may look like a quiet one: heartbeats tell them apart. */
  #watch() {
    clearTimeout(this.#watchdog);
    const left = this.#lastEvent + this.#quietMs - performance.now();
    if (left <= 0) {
      this.#retry();
    } else {
      this.#watchdog = setTimeout(() => this.#watch(), left);
    }
  }

  #onConnected(data) {
    this.#quietMs = QUIET_HEARTBEATS * data.heartbeat * 1000;
    this.#watch();
    this.userId = data.user_id;
    this.clockOffset = Date.parse(data.server_time) - Date.now();
  }

  #onInitial(data) {
    const before = this.friends;
    this.friends = new Map(Object.entries(data));
    this.#failures = 0;
    this.#setState("live");
    const changes = [];
    for (const [id, status] of this.friends) {
      changes.push({ id, status, before: before.get(id), reason: null });
    }
    this.#emit("change", { full: true, changes });
  }

  #onStatusChange(data) {
    const { reason, ...status } = data;
    const id = String(status.user_id);
    const before = this.friends.get(id);
    // Versions order a user's changes; one that is not newer has nothing to say.
    if (before === undefined || status.version <= before.version) return;
    this.friends.set(id, status);
    this.#emit("change", { full: false, changes: [{ id, status, before, reason }] });
  }

  #onBye(data) {
    if (data.reason === "token_expired" || data.reason === "revoked") {
      this.#end(data.reason);
    } else {
      this.#retry();
      this.#emit("bye", { reason: data.reason });
    }
  }

  #end(reason) {
    this.close();
    this.#emit("bye", { reason });
  }

  /** @param {State} state */
  #setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.#emit("state", { state });
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
