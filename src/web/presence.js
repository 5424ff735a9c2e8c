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
 * @property {number} [pollMs] how often to ask a server that has no streams, 30000 unless given; each
 *   wait is spread over 80 to 120 % of its value. With HIDDEN_POLLS it must be well below the
 *   server's online_ttl (300 s): the questions are what keeps the user online
 */

const RETRY_MAX_MS = 60000;
const HEARTBEAT_SECONDS = 30; // until the server has said its own
const HIDDEN_POLLS = 4; // times pollMs, while nobody sees the page
const QUIET_HEARTBEATS = 2.5; // a stream that says nothing for so long is dead

/** Answers of the server that no further attempt with this token can change. */
const FINAL = {
  token_expired: "token_expired",
  token_revoked: "revoked",
  token_invalid: "token_invalid",
};

/** The user's id in a token, as the stream would tell it; null when that is none of ours. */
function subjectOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { sub } = JSON.parse(atob(payload));
    return /^[1-9][0-9]*$/.test(sub) ? Number(sub) : sub;
  } catch {
    return null;
  }
}

function retryAfterMs(answer) {
  return 1000 * (Number(answer.headers.get("Retry-After")) || 0);
}

/** The server has refused the token. */
class Refusal extends Error {}

/**
 * A server may have no streams (plain CGI): it answers 501, and the client asks for the friends'
 * states every pollMs instead. Its events are the same.
 *
 * Events:
 * - "change", detail {full, changes: [{id, status, before, reason}]}: `friends` is new. `full`: the
 *   whole view was replaced, by the first snapshot or by one after a gap. `reason` is null when
 *   polling.
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
  /** Whether the server has no streams and is polled; read-only. */
  polling = false;

  /** @type {EventSource|null} */
  #source = null;
  /** Counts connections, so that an answer to an earlier one is known as such. */
  #attempt = 0;
  #failures = 0;
  #quietMs = QUIET_HEARTBEATS * HEARTBEAT_SECONDS * 1000;
  #lastEvent = 0;
  #retryTimer = 0;
  #pollTimer = 0; // 0 also while an answer is waited for
  #polledAt = 0; // by performance.now(), as is the next
  #pollNotBefore = 0; // what the server's Retry-After said
  #hasPolled = false; // with an answer, so that the next one tells what is different
  #watchdog = 0;

  /** @param {Options} options */
  constructor({ base = "/api", token, getToken, retryMs = 2000, pollMs = 30000 } = {}) {
    super();
    this.base = base;
    this.getToken = getToken ?? (() => token);
    this.retryMs = retryMs;
    this.pollMs = pollMs;
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
    const { answer, data } = await this.#call("POST", "/presence/ticket", await this.getToken());
    if (!answer.ok) throw new Error(data.detail);
    const url = this.#url("/presence/stream");
    url.searchParams.set("ticket", data.ticket);
    return url.href;
  }

  #url(path) {
    return new URL(this.base + path, document.baseURI);
  }

  /** Throws a Refusal when the server refuses the token for good. */
  async #call(method, path, token) {
    const answer = await fetch(this.#url(path), {
      method,
      headers: { Authorization: `Bearer ${token}` },
      cache: "no-store",
      signal: AbortSignal.timeout(this.#quietMs),
    });
    const data = await answer.json();
    if (!answer.ok && data.code in FINAL) throw new Refusal(FINAL[data.code]);
    return { answer, data };
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
      if (source !== this.#source) return;
      if (source.readyState === EventSource.CLOSED) this.#onRefused();
      else this.#retry();
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
    this.#stopPolling();
  }

  /** Waits longer after each failure, and never as long as the next client. */
  #retry(atLeastMs = 0) {
    this.#drop();
    this.#setState("connecting");
    const wait = Math.min(this.retryMs * 2 ** this.#failures, RETRY_MAX_MS);
    const spread = wait * (0.5 + Math.random());
    this.#failures++;
    const asked = atLeastMs * (1 + Math.random() / 2);
    this.#retryTimer = setTimeout(() => this.#open(), Math.max(spread, asked));
  }

  /**
   * An EventSource does not tell which answer it was. Asked without a token, a server that has
   * streams answers 401 and no more; one that has none, 501.
   */
  async #onRefused() {
    this.#drop();
    this.#setState("connecting");
    const attempt = this.#attempt;
    let status = 0;
    let atLeastMs = 0;
    try {
      const answer = await fetch(this.#url("/presence/stream"), {
        cache: "no-store",
        signal: AbortSignal.timeout(this.#quietMs),
      });
      status = answer.status;
      atLeastMs = retryAfterMs(answer);
      await answer.body?.cancel();
    } catch {
      // No answer: to be tried again like any other failure.
    }
    if (attempt !== this.#attempt) return;
    if (status === 501) this.#startPolling();
    else this.#retry(atLeastMs);
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

  #startPolling() {
    this.polling = true;
    this.#hasPolled = false;
    this.#pollNotBefore = 0;
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#poll();
  }

  #stopPolling() {
    this.polling = false;
    clearTimeout(this.#pollTimer);
    this.#pollTimer = 0;
    document.removeEventListener("visibilitychange", this.#onVisibility);
  }

  /** Who comes back to the page need not wait for a hidden page's next turn. */
  #onVisibility = () => {
    if (this.#pollTimer !== 0) this.#schedulePoll();
  };

  #schedulePoll() {
    clearTimeout(this.#pollTimer);
    const every = this.pollMs * (document.hidden ? HIDDEN_POLLS : 1);
    const due = this.#polledAt + every * (0.8 + Math.random() * 0.4);
    const wait = Math.max(due, this.#pollNotBefore) - performance.now();
    this.#pollTimer = setTimeout(() => this.#poll(), wait);
  }

  async #poll() {
    const attempt = this.#attempt;
    this.#pollTimer = 0;
    this.#polledAt = performance.now();
    try {
      const token = await this.getToken();
      const { answer, data } = await this.#call("GET", "/online-status/friends", token);
      if (attempt !== this.#attempt) return; // closed or connected anew meanwhile
      if (answer.ok) {
        this.userId = subjectOf(token);
        const time = Date.parse(answer.headers.get("Date") ?? ""); // another origin's is hidden
        if (!Number.isNaN(time)) this.clockOffset = time - Date.now();
        this.#onPolled(data);
      } else {
        this.#pollNotBefore = performance.now() + retryAfterMs(answer);
        this.#setState("degraded");
      }
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (error instanceof Refusal) this.#end(error.message);
      else this.#setState("connecting");
    }
    if (attempt === this.#attempt) this.#schedulePoll();
  }

  /** As the stream would: the whole view first and after a gap, else what is different. */
  #onPolled(data) {
    const entries = Object.entries(data);
    const follows =
      this.#hasPolled &&
      entries.length === this.friends.size &&
      entries.every(([id, { version }]) => version >= this.friends.get(id)?.version);
    this.#hasPolled = true;
    if (follows) {
      this.#setState("live");
      for (const [, status] of entries) this.#onStatusChange({ ...status, reason: null });
    } else {
      this.#onInitial(data);
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
