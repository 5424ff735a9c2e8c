// presence-client: who of my friends is online, live. One file without dependencies, served as it is.
//
//   const client = new PresenceClient({ token });
//   client.subscribe((friends) => draw(friends));
//   client.connect();
//
// Runs in pages, in workers and in Node 18 or newer. All tabs of one user share one stream.

/**
 * A user's state, as the server sends it.
 * @typedef {object} Status
 * @property {number|string} user_id
 * @property {boolean} is_online
 * @property {string} status "offline", "online", "away", "busy", "meeting" or "dnd"; take a word that
 *   you do not know for "online"
 * @property {string} [text] plain text that the user chose, as are the next two
 * @property {string} [emoji]
 * @property {string} [status_expires] RFC 3339
 * @property {boolean} [last_seen_coarse] the time is rounded down
 * @property {boolean} [invisible] of oneself: the others see "offline"
 * @property {string|null} [last_activity] RFC 3339, when online
 * @property {string|null} [last_seen] RFC 3339, when offline; null = never seen
 * @property {number} version grows with every change of this user
 */

/** @typedef {"connecting"|"live"|"degraded"|"polling"|"closed"} State */

/**
 * Why a token is asked for: for a connection ("connect"), because the one in use ends soon
 * ("expiring"), or because the server did not take it ("expired").
 * @typedef {"connect"|"expiring"|"expired"} TokenReason
 */

/**
 * @typedef {object} Options
 * @property {string} [base] where the API lives, "/api" unless given; may be on another origin
 * @property {string} [token] the JSON Web Token; renewed by the server's own /auth/refresh, if it
 *   has that; or
 * @property {(why: {reason: TokenReason}) => string|Promise<string>} [getToken] what gives one
 * @property {boolean} [share] one stream for all tabs of a user; in pages true unless given
 * @property {number} [retryMs] the first wait before reconnecting, 1000 unless given; it doubles with
 *   each failure, up to 20 seconds, and each wait is spread over 50 to 150 % of its value
 * @property {number} [pollMs] how often to ask a server that has no streams, 30000 unless given; each
 *   wait is spread over 80 to 120 % of its value, and four times as long in a hidden page. It must
 *   be well below the server's online_ttl (300 s): the questions are what keeps the user online
 * @property {"fetch"|"eventsource"} [transport] how the stream is read; "fetch" where that works
 * @property {Iterable<number|string>} [watch] users to watch besides the friends; see watch()
 * @property {boolean} [friends] false: only those of `watch`; the same in all pages of a site
 */

/**
 * @typedef {object} Change
 * @property {string} id
 * @property {Status} status
 * @property {Status} [before]
 * @property {string|null} reason null in a snapshot
 */

/**
 * What an "error" event tells: `status` is HTTP's, 0 when there was no answer.
 * @typedef {object} Problem
 * @property {string} code
 * @property {number} status
 * @property {string} message
 * @property {number|null} retryInMs null: it is not tried again
 */

/**
 * @template T
 * @typedef {((event: DetailEvent<T>) => void)|{handleEvent(event: DetailEvent<T>): void}|null} Listener
 */

/**
 * The events of a client, with what their `detail` holds.
 * @typedef {object} PresenceEvents
 * @property {{full: boolean, changes: Change[]}} change `friends` is new; `full`: the whole view was
 *   replaced, by the first snapshot or by one after a gap
 * @property {Status} self one's own state: what all devices of the user show
 * @property {{user_id: number|string, typing: boolean, conversation?: string, expires_in: number}} typing
 *   see Typing in extras.js
 * @property {{user_id: number|string, nearby: boolean, expires_in: number}} nearby see Nearby there
 * @property {{state: State}} state connecting, live, degraded (what is shown may be stale), polling
 *   (the server has no streams) or closed
 * @property {Problem} error something did not work, and what happens now
 * @property {{reason: string}} bye the server ended the stream: token_expired, token_invalid or revoked
 *   (then the client has closed itself), shutdown, lifetime or too_many_streams (then it reconnects)
 */

const RETRY_MAX_MS = 20000;
const HEARTBEAT_SECONDS = 30; // until the server has said its own
const QUIET_HEARTBEATS = 2.5; // a stream that says nothing for so long is dead
const CHECK_MS = 3000; // for a connection that may have died unseen to show that it lives
const HIDDEN_POLLS = 4; // times pollMs, while nobody sees the page
const RENEW_MS = 60000; // before a token's end, or a quarter of its life
const TIMER_MAX_MS = 2 ** 31 - 1;
const PING_MS = 1000;
const SILENCE_MS = 3000; // a tab that leads and does not answer for so long has stopped
const SLOTS = 3; // streams of one origin whose tabs cannot talk to each other
const LINE_MAX = 2 ** 24; // characters of a stream without a line end
const HASH_PRIME = 2 ** 48 - 59; // times 31 it is still an exact number
const URL_MAX = 2000; // characters; a longer watch list goes with a ticket
const REOPEN_MS = 50; // for the watch lists of several tabs to become one stream
const CALL_MS = 10000; // for the answer to a call

/** What the server says of a token that it does not take. */
const REFUSAL = /^token_(expired|invalid|revoked)$/;

const EVENTS =
  "connected initial self status_change typing nearby heartbeat degraded bye".split(" ");

const spread = (ms, low = 0.5, high = 1.5) => ms * (low + Math.random() * (high - low));

// --- the event stream format (WHATWG HTML, 9.2.6) -------------------------------------------------

/**
 * Reads a stream's text in pieces of any size, and says each event with its type and data. A byte
 * order mark is TextDecoder's to take away.
 */
export class EventStreamParser {
  #onEvent;
  #rest = ""; // of a line whose end has not come
  #type = "";
  /** @type {string[]} */
  #data = [];
  #afterReturn = false;

  /** @param {(event: {type: string, data: string}) => void} onEvent */
  constructor(onEvent) {
    this.#onEvent = onEvent;
  }

  /** @param {string} text */
  push(text) {
    if (text === "") return;
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterReturn = text.endsWith("\r");
    const lines = text.split(/\r\n?|\n/);
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > LINE_MAX) throw new Error("a line without end");
    for (const line of lines) this.#onLine(line);
  }

  #onLine(line) {
    if (line === "") {
      const type = this.#type || "message";
      const data = this.#data;
      this.#type = "";
      this.#data = [];
      if (data.length > 0) this.#onEvent({ type, data: data.join("\n") });
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
  }
}

// --- talking to the server ------------------------------------------------------------------------

/**
 * A CustomEvent, which Node 18 does not have.
 * @template T
 */
export class DetailEvent extends Event {
  /**
   * @param {string} name
   * @param {T} detail
   */
  constructor(name, detail) {
    super(name);
    this.detail = detail;
  }
}

/** What went wrong; `code` is the server's word for it, or ours; `status` is HTTP's, 0 without an answer. */
export class ApiError extends Error {
  constructor(code, message, status = 0, retryAfterMs = 0) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }

  static async of(answer) {
    const problem = await answer.json().catch(() => ({}));
    const after = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
    const message = problem.detail ?? problem.title ?? `HTTP ${answer.status}`;
    return new ApiError(problem.code ?? `http_${answer.status}`, message, answer.status, after);
  }
}

/** fetch() that gives the answer, if it is a good one, or throws an ApiError. `body` becomes JSON. */
async function ask(url, token, { limitMs, abort = new AbortController(), body, ...init }) {
  const timer = setTimeout(() => abort.abort(), limitMs);
  try {
    const headers = { ...init.headers };
    if (token !== "") headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
      body = JSON.stringify(body);
    }
    const { signal } = abort;
    const answer = await fetch(url, { ...init, body, headers, cache: "no-store", signal });
    if (!answer.ok) throw await ApiError.of(answer);
    return answer;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("network", "The server cannot be reached");
  } finally {
    clearTimeout(timer);
  }
}

/** The claims of a token; none when it is not a JSON Web Token. */
function claimsOf(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return {};
  }
}

/** A user's id as the server writes it, of its text. */
const idOf = (text) => (/^[1-9][0-9]*$/.test(text) ? Number(text) : text);

/** Whose a token is. */
const subjectOf = (token) => idOf(claimsOf(token).sub) ?? null;

/** Where tokens come from. */
class Tokens {
  #getToken;
  #token;
  #refresh;
  #last; // the one that was given last

  /** @param refresh gives a token for a token, or throws */
  constructor(getToken, token, refresh) {
    this.#getToken = getToken;
    this.#token = token;
    this.#refresh = refresh;
  }

  /** @param {TokenReason} reason */
  async get(reason) {
    this.#last = await this.#give(reason);
    return this.#last;
  }

  /** One that is still good at this time, the last one if it is. */
  async current(now) {
    return claimsOf(this.#last).exp * 1000 > now ? this.#last : this.get("connect");
  }

  async #give(reason) {
    if (this.#getToken !== undefined) {
      try {
        return await this.#getToken({ reason });
      } catch (error) {
        throw new ApiError("token_unavailable", `getToken failed: ${error?.message ?? error}`);
      }
    }
    if (reason === "expiring") {
      // A site that issues its tokens elsewhere has no such call: then this one is all there is.
      this.#token = await this.#refresh(this.#token).catch(() => this.#token);
    }
    return this.#token;
  }
}

// --- one stream -----------------------------------------------------------------------------------

/** The URL of a stream by ticket, which is good once, for seconds, and holds what the stream is to be. */
async function withTicket(url, token, wish, limitMs) {
  const ticketUrl = url.href.replace(/stream$/, "ticket");
  const answer = await ask(ticketUrl, token, { method: "POST", limitMs, body: wish });
  return `${url.href}?ticket=${(await answer.json()).ticket}`;
}

/** The same for a stream whose token is in a header. */
function withQuery(url, { users, friends, idle }) {
  const query = [];
  if (users.length > 0) query.push(`users=${users.map(encodeURIComponent).join()}`);
  if (!friends) query.push("friends=false");
  if (idle) query.push("idle=true");
  return query.length > 0 ? `${url.href}?${query.join("&")}` : url.href;
}

/** A stream read by fetch(): the token is in no URL, and a refusal can be told from a loss. */
async function openByFetch(url, token, wish, limitMs, onEvent, onEnd) {
  const abort = new AbortController();
  const headers = { Accept: "text/event-stream" };
  let target = withQuery(url, wish);
  if (target.length > URL_MAX) {
    target = await withTicket(url, token, wish, limitMs);
    token = ""; // or it would count, and what the ticket holds would not
  }
  const answer = await ask(target, token, { headers, limitMs, abort });
  const parser = new EventStreamParser(onEvent);
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  const read = async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.push(decoder.decode(value, { stream: true }));
    }
  };
  read().catch(() => {}).then(onEnd);
  return { close: () => abort.abort() };
}

/**
 * A stream read by EventSource, which can send no header: the URL carries a ticket. Left to itself it
 * would come back with one that is used up, or give up for good on any
 * answer but 200, and it does not tell which answer that was: a question without a token does.
 */
async function openByEventSource(url, token, wish, limitMs, onEvent, onEnd) {
  const source = new EventSource(await withTicket(url, token, wish, limitMs));
  for (const type of EVENTS) {
    source.addEventListener(type, ({ data }) => onEvent({ type, data }));
  }
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => source.onerror?.(new Event("error")), limitMs);
    source.onopen = () => {
      clearTimeout(timer);
      source.onerror = () => {
        source.close();
        onEnd();
      };
      resolve({ close: () => source.close() });
    };
    source.onerror = async () => {
      clearTimeout(timer);
      source.close();
      const probe = await fetch(url, { cache: "no-store" }).catch(() => null);
      if (probe === null || probe.status === 401) {
        reject(new ApiError("network", "The server cannot be reached"));
      } else {
        reject(await ApiError.of(probe));
      }
    };
  });
}

/**
 * A stream that reconnects by itself and renews its token; or, where the server has no streams, what
 * asks it again and again. Says everything to `sink`, which has event(type, data), state(state),
 * problem(problem), bye(reason) and end(reason): the last is for good. `options.wish()` tells what the
 * stream is to be: {users, friends, idle}.
 */
class Connection {
  #options;
  #tokens;
  #sink;
  /** @type {{close(): void, heardAt: number}|null} what is shown comes from it */
  #source = null;
  /** @type {{close(): void, heardAt: number}|null} takes over with its first snapshot */
  #next = null;
  #attempt = 0; // counts, so that an answer to an earlier one is known as such
  #failures = 0;
  #wasRefused = false; // the server did not take the token before this one
  #token = "";
  #heartbeatMs = HEARTBEAT_SECONDS * 1000;
  #timers = { retry: 0, watch: 0, renew: 0, poll: 0 };
  #isPolling = false;
  #hasPolled = false; // with an answer, so that the next one tells what is different
  #polledAt = 0; // by performance.now(), as is the next
  #pollNotBefore = 0; // what the server's Retry-After said

  constructor(options, tokens, sink) {
    this.#options = options;
    this.#tokens = tokens;
    this.#sink = sink;
  }

  start() {
    this.#failures = 0;
    this.#open("connect");
  }

  /** What start() comes to where the server has no streams. */
  poll() {
    this.#isPolling = true;
    this.#hasPolled = false;
    this.#pollNotBefore = 0;
    this.#poll();
  }

  /** The wish is another one: a new stream takes over, or the next question is asked at once. */
  reopen() {
    if (this.#isPolling) this.poll();
    else this.#open("connect");
  }

  stop() {
    this.#attempt++;
    for (const name of Object.keys(this.#timers)) this.#clear(name);
    this.#drop();
    this.#isPolling = false;
  }

  /**
   * The network is back, the machine awake, the page seen: no reason to wait any longer, and one to
   * doubt that the stream still lives, unless it has just said something.
   */
  wake(isCertain) {
    if (this.#isPolling) {
      this.#schedulePoll();
    } else if (this.#timers.retry !== 0) {
      this.#failures = 0;
      this.#open("connect");
    } else if (this.#source !== null && this.#next === null) {
      const quietMs = performance.now() - this.#source.heardAt;
      if (quietMs < (isCertain ? CHECK_MS / 3 : this.#heartbeatMs + CHECK_MS)) return;
      const suspect = this.#source;
      this.#open("connect");
      this.#set("watch", CHECK_MS, () => {
        if (this.#source !== suspect) return;
        suspect.close();
        this.#source = null; // the new one is shown as soon as it says anything
        this.#sink.state("connecting");
      });
    }
  }

  #set(name, ms, run) {
    this.#clear(name);
    this.#timers[name] = setTimeout(() => {
      this.#timers[name] = 0;
      run();
    }, ms);
  }

  #clear(name) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = 0;
  }

  #drop() {
    this.#next?.close();
    this.#source?.close();
    this.#next = this.#source = null;
  }

  /** Opens a stream; when there is one already, it stays until the new one has its snapshot. */
  async #open(reason) {
    const attempt = ++this.#attempt;
    this.#clear("retry");
    this.#next?.close();
    this.#next = null;
    if (this.#source === null) this.#sink.state("connecting");
    try {
      const token = await this.#tokens.get(reason);
      if (attempt !== this.#attempt) return;
      if (reason === "expiring" && token === this.#token) return; // it ends when it ends
      await this.#openWith(token, attempt);
    } catch (error) {
      if (attempt === this.#attempt) this.#onFailure(error);
    }
  }

  async #openWith(token, attempt) {
    const { transport, url, wish } = this.#options;
    const open = transport === "eventsource" ? openByEventSource : openByFetch;
    const early = []; // what comes before there is something to show
    const stream = { close: () => {}, heardAt: performance.now() };
    const isCurrent = () => attempt === this.#attempt || stream === this.#source;
    const onEvent = (event) => {
      stream.heardAt = performance.now();
      if (stream === this.#source) {
        this.#onEvent(event);
      } else if (isCurrent()) {
        early.push(event);
        if (this.#source !== null && event.type !== "initial" && event.type !== "degraded") return;
        this.#source?.close();
        this.#source = stream;
        this.#next = null;
        this.#token = token;
        this.#scheduleRenewal();
        this.#watch();
        for (const held of early.splice(0)) this.#onEvent(held);
      }
    };
    const onEnd = () => {
      if (stream === this.#source) this.#lost();
      else if (stream === this.#next) this.#retry();
    };
    const limitMs = this.#quietMs();
    const opened = await open(url("/presence/stream"), token, wish(), limitMs, onEvent, onEnd);
    stream.close = () => opened.close();
    if (!isCurrent()) stream.close();
    else if (stream !== this.#source) this.#next = stream;
  }

  #onEvent({ type, data }) {
    const value = JSON.parse(data);
    if (type === "connected") {
      this.#heartbeatMs = value.heartbeat * 1000;
      this.#wasRefused = false;
      this.#watch();
    } else if (type === "initial") {
      this.#failures = 0;
      this.#sink.event(type, value);
      this.#sink.state("live");
      return;
    } else if (type === "degraded") {
      this.#sink.state("degraded");
      return;
    } else if (type === "bye") {
      this.#onBye(value.reason);
      return;
    } else if (type === "heartbeat") {
      return;
    }
    this.#sink.event(type, value);
  }

  #onBye(reason) {
    this.#drop();
    if (reason === "token_expired") {
      this.#open("expired");
    } else if (reason === "revoked") {
      this.#end(reason);
    } else {
      const wait = { shutdown: spread(600, 1 / 3, 5 / 3), lifetime: spread(200) };
      this.#sink.bye(reason);
      this.#retry(undefined, wait[reason]);
    }
  }

  #lost() {
    this.#drop();
    this.#retry(new ApiError("connection_lost", "The connection was lost"));
  }

  #onFailure(error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 501) {
      this.#drop();
      this.poll();
    } else if (REFUSAL.test(error.code)) {
      this.#onRefused(error, () => this.#open("expired"));
    } else {
      this.#retry(error);
    }
  }

  /** Another token may do, but is asked for only once. */
  #onRefused(error, askAgain) {
    if (this.#wasRefused || error.code === "token_revoked" || !this.#options.canRenew) {
      this.#end(error.code.replace("token_r", "r"));
      return;
    }
    this.#wasRefused = true;
    askAgain();
  }

  #end(reason) {
    this.stop();
    this.#sink.end(reason);
  }

  /** Waits longer after each failure, and never as long as the next client. */
  #retry(error, waitMs = spread(this.#options.retryMs * 2 ** Math.min(this.#failures, 10))) {
    this.#attempt++;
    this.#next = null;
    if (this.#source === null) this.#sink.state("connecting");
    this.#failures++;
    const asked = spread(error?.retryAfterMs ?? 0, 1, 1.5);
    const retryInMs = Math.max(Math.min(waitMs, RETRY_MAX_MS), asked);
    if (error !== undefined) this.#tellProblem(error, retryInMs);
    this.#set("retry", retryInMs, () => this.#open("connect"));
  }

  #quietMs() {
    return QUIET_HEARTBEATS * this.#heartbeatMs;
  }

  /** A dead connection may look like a quiet one: heartbeats tell them apart. */
  #watch() {
    if (this.#source === null) return;
    const left = this.#source.heardAt + this.#quietMs() - performance.now();
    if (left <= 0) this.#lost();
    else this.#set("watch", left, () => this.#watch());
  }

  #scheduleRenewal() {
    const { exp } = claimsOf(this.#token);
    if (typeof exp !== "number") return;
    const left = exp * 1000 - this.#options.now();
    const due = left - spread(Math.min(RENEW_MS, left / 4), 0.75, 1.25);
    this.#set("renew", Math.min(Math.max(due, 0), TIMER_MAX_MS), () => {
      if (due > TIMER_MAX_MS) this.#scheduleRenewal();
      else if (this.#source !== null) this.#open("expiring");
    });
  }

  // --- without streams ---

  /** Who comes back to the page need not wait for a hidden page's next turn. */
  #schedulePoll() {
    const isHidden = globalThis.document?.hidden ?? false;
    const every = this.#options.pollMs * (isHidden ? HIDDEN_POLLS : 1);
    const due = Math.max(this.#polledAt + spread(every, 0.8, 1.2), this.#pollNotBefore);
    this.#set("poll", Math.max(due - performance.now(), 0), () => this.#poll());
  }

  async #poll(reason = "connect") {
    const attempt = ++this.#attempt;
    this.#polledAt = performance.now();
    try {
      const token = await this.#tokens.get(reason);
      const { date, self, view } = await this.#askAll(token);
      if (attempt !== this.#attempt) return;
      this.#wasRefused = false;
      this.#sink.event("connected", { user_id: subjectOf(token), server_time: date });
      this.#sink.event("self", self);
      this.#sink.event(this.#hasPolled ? "polled" : "initial", view);
      this.#hasPolled = true;
      this.#sink.state("polling");
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (!(error instanceof ApiError)) throw error;
      if (REFUSAL.test(error.code)) {
        this.#onRefused(error, () => this.#poll("expired"));
        return;
      }
      this.#pollNotBefore = performance.now() + error.retryAfterMs;
      this.#sink.state(error.status === 0 ? "connecting" : "degraded");
      const retryInMs = Math.max(this.#options.pollMs, error.retryAfterMs);
      this.#tellProblem(error, retryInMs);
    }
    this.#schedulePoll();
  }

  #tellProblem({ code, status, message }, retryInMs) {
    this.#sink.problem({ code, status, message, retryInMs });
  }

  /** What a stream's `self` and `initial` tell. */
  async #askAll(token) {
    const { users, friends } = this.#options.wish();
    const get = async (path, body) => {
      const method = body === undefined ? "GET" : "POST";
      const limitMs = this.#quietMs();
      const answer = await ask(this.#options.url(path), token, { method, body, limitMs });
      date = answer.headers.get("Date");
      return answer.json();
    };
    let date; // null when it is another origin's
    const [self, ...views] = await Promise.all([
      get("/presence/status"),
      friends && get("/online-status/friends"),
      users.length > 0 && get("/online-status/users", { user_ids: users }),
    ]);
    return { date, self, view: Object.assign({}, ...views) };
  }
}

// --- one stream for all tabs ----------------------------------------------------------------------

/** A short name of a text that does not tell the text. */
function hash(text) {
  let sum = 0;
  for (const char of text) sum = (sum * 31 + /** @type {number} */ (char.codePointAt(0))) % HASH_PRIME;
  return sum.toString(36);
}

/**
 * Which of a user's tabs holds the stream: one leads, says what it hears on a BroadcastChannel, and
 * answers pings; when it closes or stops, another one leads. Web Locks decide where there are any
 * (https and localhost), elsewhere the tabs among themselves, the lowest number first.
 *
 * `sink` has lead(), follow() and heard(message); what is said goes to all the others. A tab is heard
 * to say "hello" when it comes, "lead" when it begins to lead and "gone" when it closes.
 */
class Tabs {
  #name;
  #sink;
  /** @type {BroadcastChannel} */
  #channel;
  #locks = globalThis.navigator?.locks;
  #number = Math.random();
  #isLeader = false;
  #isClosed = false;
  #turn = 0; // counts requests for the lock
  #giveUp = () => {}; // lets go of the lock, or waits for it no longer
  #heardAt = performance.now(); // when the one that leads said something
  #tickedAt = performance.now();
  #claimTimer = 0;
  #ticker;

  constructor(name, sink) {
    this.#name = name;
    this.#sink = sink;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#onMessage(data);
    this.#ticker = setInterval(() => this.#tick(), PING_MS);
    if (this.#locks !== undefined) {
      this.#request({});
    } else {
      this.#claim(spread(300));
    }
    this.say({ type: "hello" });
  }

  static get works() {
    return typeof BroadcastChannel === "function";
  }

  get isLeader() {
    return this.#isLeader;
  }

  say(message) {
    if (this.#isClosed) return;
    this.#channel.postMessage({ ...message, from: this.#number, leads: this.#isLeader });
  }

  close() {
    this.say({ type: this.#isLeader ? "free" : "gone" });
    this.#isClosed = true;
    this.#isLeader = false;
    clearInterval(this.#ticker);
    clearTimeout(this.#claimTimer);
    this.#channel.close();
    this.#giveUp();
  }

  #lead() {
    if (this.#isLeader || this.#isClosed) return;
    this.#isLeader = true;
    this.say({ type: "lead" });
    this.#sink.lead();
  }

  #follow() {
    this.#heardAt = performance.now();
    if (!this.#isLeader) return;
    this.#isLeader = false;
    this.#sink.follow();
    this.say({ type: "hello" });
  }

  /** Waits for the lock, or takes it away from one that has stopped. */
  #request({ steal = false }) {
    const turn = ++this.#turn;
    const abort = new AbortController();
    const options = steal ? { steal } : { signal: abort.signal };
    const held = new Promise((resolve) => {
      this.#giveUp = () => {
        abort.abort();
        resolve(undefined);
      };
    });
    this.#locks.request(this.#name, options, () => {
      this.#lead();
      return held;
    }).catch(() => {
      // Stolen, because this tab stood still: the thief leads.
      if (this.#isClosed || turn !== this.#turn) return;
      this.#follow();
      this.#request({});
    });
  }

  /** Without locks: who is not contradicted for a moment leads. */
  #claim(waitMs) {
    clearTimeout(this.#claimTimer);
    this.say({ type: "claim" });
    this.#claimTimer = setTimeout(() => {
      this.#claimTimer = 0;
      this.#lead();
    }, waitMs);
  }

  #tick() {
    const now = performance.now();
    const stoodStill = now - this.#tickedAt > 2 * PING_MS;
    this.#tickedAt = now;
    if (this.#isLeader || (globalThis.document?.hidden ?? false)) return;
    if (stoodStill) this.#heardAt = now; // it was this tab that could not hear
    const silence = now - this.#heardAt;
    if (silence > PING_MS) this.say({ type: "ping" });
    if (silence <= SILENCE_MS || this.#claimTimer !== 0) return;
    this.#heardAt = now;
    if (this.#locks === undefined) {
      this.#claim(spread(300));
      return;
    }
    const stopWaiting = this.#giveUp;
    this.#request({ steal: true });
    stopWaiting();
  }

  #onMessage(message) {
    if (this.#isClosed) return;
    const { type, from, leads } = message;
    if (leads) this.#onLeader(from);
    if (type === "ping") {
      if (this.#isLeader) this.say({ type: "pong" });
    } else if (type === "claim") {
      if (this.#isLeader || (this.#claimTimer !== 0 && this.#number < from)) this.#object();
      else this.#yield();
    } else if (type === "taken") {
      this.#yield();
    } else if (type === "free") {
      if (this.#locks === undefined) this.#claim(spread(150));
    } else if (type !== "pong") {
      this.#sink.heard(message);
    }
  }

  #onLeader(from) {
    this.#yield();
    // Two that lead have not heard each other before. With locks one of them is about to know.
    if (!this.#isLeader || this.#locks !== undefined) return;
    if (from < this.#number) this.#follow();
    else this.say({ type: "lead" });
  }

  #object() {
    this.say({ type: "taken" });
    if (!this.#isLeader) this.#claim(spread(300));
  }

  /** Another tab leads or is about to. */
  #yield() {
    this.#heardAt = performance.now();
    clearTimeout(this.#claimTimer);
    this.#claimTimer = 0;
  }
}

/**
 * For tabs that cannot talk to each other: a few of them have a stream, the others poll. Gives what
 * returns the slot, or null when all are taken.
 */
function takeSlot() {
  const storage = globalThis.localStorage;
  if (storage === undefined) return () => {};
  for (let slot = 0; slot < SLOTS; slot++) {
    const key = `presence-slot-${slot}`;
    if (Number(storage.getItem(key)) > Date.now()) continue;
    const hold = () => storage.setItem(key, String(Date.now() + 5 * SILENCE_MS));
    const timer = setInterval(hold, SILENCE_MS);
    hold();
    return () => {
      clearInterval(timer);
      storage.removeItem(key);
    };
  }
  return null;
}

// --- what is shown --------------------------------------------------------------------------------

/** Users' states by id, as text: a Map that never changes; each change makes a new one. */
export class Friends {
  /** @type {Map<string, Status>} */
  #map;

  /** @param {Iterable<[string, Status]>} [entries] */
  constructor(entries = []) {
    this.#map = new Map(entries);
    Object.freeze(this);
  }

  get size() {
    return this.#map.size;
  }

  /** @param {number|string} id */
  get(id) {
    return this.#map.get(String(id));
  }

  /** @param {number|string} id */
  has(id) {
    return this.#map.has(String(id));
  }

  keys() {
    return this.#map.keys();
  }

  values() {
    return this.#map.values();
  }

  entries() {
    return this.#map.entries();
  }

  /** @param {(status: Status, id: string, friends: Friends) => void} visit */
  forEach(visit) {
    this.#map.forEach((status, id) => visit(status, id, this));
  }

  [Symbol.iterator]() {
    return this.#map[Symbol.iterator]();
  }
}

/** @param {Iterable<number|string>} ids */
const textOfEach = (ids) => [...ids].map(String);

/** The client; its events are those of PresenceEvents. */
export class PresenceClient extends EventTarget {
  /** @type {State} */
  state = "closed";
  /** @type {number|string|null} one's own id, once connected */
  userId = null;
  /** @type {Status|null} one's own state, once connected; null for a token that only watches */
  self = null;
  /** Whether a stream is to say, when it opens, that nobody is at the device: see Idle in extras.js. */
  idle = false;
  /** Milliseconds to add to this computer's clock to get the server's. */
  clockOffset = 0;

  #friends = new Friends();
  /** @type {Set<(friends: Friends) => void>} */
  #listeners = new Set();
  #options;
  #tokens;
  #connection;
  /** @type {Tabs|null} */
  #tabs = null;
  #giveSlot = () => {};
  #session = 0; // counts connect() and close()
  #stopListening = () => {};
  /** @type {string[]} whom this tab watches */
  #watched;
  /** @type {Map<number, string[]>} whom the others do, by their number */
  #watchedElsewhere = new Map();
  /** @type {string[]} whom the stream was asked for */
  #wished = [];
  #reopenTimer = 0;

  /** @param {Options} options */
  constructor({
    base = "/api",
    token,
    getToken,
    share = globalThis.document !== undefined,
    retryMs = 1000,
    pollMs = 30000,
    transport,
    watch = [],
    friends = true,
  } = {}) {
    super();
    this.base = base;
    this.#watched = textOfEach(watch);
    const refresh = async (old) => {
      const limitMs = CHECK_MS;
      const answer = await ask(this.#url("/auth/refresh"), old, { method: "POST", limitMs });
      return (await answer.json()).access_token;
    };
    this.#tokens = new Tokens(getToken, token, refresh);
    const canFetch = typeof ReadableStream === "function" && typeof TextDecoder === "function";
    this.#options = {
      url: (path) => this.#url(path),
      now: () => this.now(),
      wish: () => {
        const wish = this.#wish();
        this.#wished = wish.users;
        return wish;
      },
      friends,
      canRenew: getToken !== undefined,
      share,
      retryMs,
      pollMs,
      transport: transport ?? (canFetch ? "fetch" : "eventsource"),
    };
    this.#connection = new Connection(this.#options, this.#tokens, {
      event: (name, data) => this.#tell({ type: "event", name, data }),
      state: (state) => this.#tell({ type: "state", state }),
      problem: (problem) => this.#tell({ type: "problem", problem }),
      bye: (reason) => this.#tell({ type: "bye", reason }),
      end: (reason) => this.#end(reason),
    });
    this.subscribe = this.subscribe.bind(this);
    this.getSnapshot = this.getSnapshot.bind(this);
  }

  /**
   * @template {keyof PresenceEvents} N
   * @param {N} name
   * @param {Listener<PresenceEvents[N]>} listener
   * @param {boolean|AddEventListenerOptions} [options]
   */
  addEventListener(name, listener, options) {
    super.addEventListener(name, /** @type {any} */ (listener), options);
  }

  /**
   * @template {keyof PresenceEvents} N
   * @param {N} name
   * @param {Listener<PresenceEvents[N]>} listener
   * @param {boolean|EventListenerOptions} [options]
   */
  removeEventListener(name, listener, options) {
    super.removeEventListener(name, /** @type {any} */ (listener), options);
  }

  /** The friends as they are now; the same object until something changes. */
  get friends() {
    return this.#friends;
  }

  /** What React's useSyncExternalStore asks for: `friends`. */
  getSnapshot() {
    return this.#friends;
  }

  /** @param {number|string} id */
  get(id) {
    return this.#friends.get(id);
  }

  /**
   * Calls the listener with `friends`, now and after each change; returns what ends that. Fits
   * React's useSyncExternalStore and is a Svelte store.
   * @param {(friends: Friends) => void} listener
   * @returns {() => void}
   */
  subscribe(listener) {
    const entry = (friends) => listener(friends);
    this.#listeners.add(entry);
    entry(this.#friends);
    return () => this.#listeners.delete(entry);
  }

  /** The server's time, in milliseconds since 1970. */
  now() {
    return Date.now() + this.clockOffset;
  }

  /** Starts, or starts anew; reconnects by itself until close(). */
  connect() {
    this.#stop();
    this.#setState("connecting");
    this.#listen();
    this.#join(this.#session);
  }

  close() {
    this.#stopListening();
    this.#stop();
    this.#setState("closed");
  }

  /**
   * Watches these users besides the friends, and no more those of the call before; at most 1,000. All
   * tabs of a user share one stream: `friends` holds whom any of them watches.
   * @param {Iterable<number|string>} ids
   */
  watch(ids) {
    this.#watched = textOfEach(ids);
    this.#tabs?.say({ type: "watch", watched: this.#watched });
    this.#reopenSoon();
  }

  /**
   * Calls the API in the name of this user: `await client.call("GET", "/presence/settings")`. Gives
   * the answer's JSON, null where it has none; throws an ApiError.
   * @param {string} method
   * @param {string} path below `base`
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  async call(method, path, body) {
    const send = (token) => ask(this.#url(path), token, { method, body, limitMs: CALL_MS });
    let answer;
    try {
      answer = await send(await this.#tokens.current(this.now()));
    } catch (error) {
      if (error.code !== "token_expired" || !this.#options.canRenew) throw error;
      answer = await send(await this.#tokens.get("expired"));
    }
    return answer.status === 204 ? null : answer.json();
  }

  #url(path) {
    const here = globalThis.document?.baseURI ?? globalThis.location?.href;
    return new URL(this.base + path, here);
  }

  #stop() {
    this.#session++;
    clearTimeout(this.#reopenTimer);
    this.#watchedElsewhere.clear();
    this.#connection.stop();
    this.#tabs?.close();
    this.#tabs = null;
    this.#giveSlot();
    this.#giveSlot = () => {};
  }

  /** Leads or follows the user's other tabs. Who the user is stands in the token. */
  async #join(session) {
    if (!this.#options.share) {
      this.#connection.start();
      return;
    }
    if (!Tabs.works) {
      const slot = takeSlot();
      this.#giveSlot = slot ?? (() => {});
      if (slot === null) this.#connection.poll();
      else this.#connection.start();
      return;
    }
    let token;
    try {
      token = await this.#tokens.get("connect");
    } catch {
      // The connection asks again and says what is wrong.
    }
    if (session !== this.#session) return;
    const subject = token === undefined ? null : subjectOf(token);
    if (subject === null) {
      this.#connection.start();
      return;
    }
    this.#tabs = new Tabs(`presence-${hash(`${this.#url("").href} ${subject}`)}`, {
      lead: () => this.#connection.start(),
      follow: () => {
        this.#connection.stop();
        this.#setState("connecting");
      },
      heard: (message) => this.#onOtherTab(message),
    });
    this.#tabs.say({ type: "watch", watched: this.#watched });
  }

  /** For all tabs, this one first. */
  #tell(message) {
    this.#apply(message);
    this.#tabs?.say(message);
  }

  #onOtherTab(message) {
    const { type, from } = message;
    if (type === "hello") {
      if (this.#tabs?.isLeader) this.#tabs.say(this.#snapshot());
    } else if (type === "lead") {
      this.#tabs?.say({ type: "watch", watched: this.#watched });
    } else if (type === "watch") {
      this.#watchedElsewhere.set(from, message.watched);
      this.#reopenSoon();
    } else if (type === "gone") {
      this.#watchedElsewhere.delete(from); // what it watched is left out with the next stream
    } else if (message.leads && !this.#tabs?.isLeader) {
      this.#apply(message);
    }
  }

  /** All that a tab must know that has just come. */
  #snapshot() {
    const { state, userId, clockOffset, self } = this;
    const view = Object.fromEntries(this.#friends);
    return { type: "snapshot", state, userId, clockOffset, self, view };
  }

  #apply(message) {
    if (message.type === "event") this.#onEvent(message.name, message.data);
    else if (message.type === "state") this.#setState(message.state);
    else if (message.type === "problem") this.#emit("error", message.problem);
    else if (message.type === "bye") this.#emit("bye", { reason: message.reason });
    else if (message.type === "snapshot") this.#onSnapshot(message);
  }

  #onSnapshot({ state, userId, clockOffset, self, view }) {
    if (state === "connecting") return; // the view is to come
    this.userId = userId;
    this.clockOffset = clockOffset;
    if (self !== null) this.#onSelf(self);
    this.#onInitial(view);
    this.#setState(state);
  }

  #end(reason) {
    this.close();
    this.#emit("bye", { reason });
  }

  #onEvent(name, data) {
    if (name === "connected") this.#onConnected(data);
    else if (name === "initial") this.#onInitial(data);
    else if (name === "self") this.#onSelf(data);
    else if (name === "polled") this.#onPolled(data);
    else if (name === "status_change") this.#onStatusChange(data);
    else this.#emit(name, data);
  }

  #onConnected({ user_id: id, server_time: time }) {
    const now = Date.parse(time ?? "");
    this.userId = id;
    if (!Number.isNaN(now)) this.clockOffset = now - Date.now();
  }

  #onSelf(status) {
    this.self = status;
    this.#emit("self", status);
  }

  #onInitial(data) {
    const before = this.#friends;
    const friends = new Friends(Object.entries(data));
    const changes = [];
    for (const [id, status] of friends) {
      changes.push({ id, status, before: before.get(id), reason: null });
    }
    this.#show(friends, { full: true, changes });
  }

  /** What a stream would have said since the last time. */
  #onPolled(data) {
    const entries = Object.entries(data);
    const follows =
      entries.length === this.#friends.size &&
      entries.every(([id, { version }]) => version >= (this.#friends.get(id)?.version ?? Infinity));
    if (!follows) this.#onInitial(data);
    else for (const [, status] of entries) this.#onStatusChange({ ...status, reason: null });
  }

  #onStatusChange({ reason, ...status }) {
    const id = String(status.user_id);
    const before = this.#friends.get(id);
    // Versions order a user's changes; one that is not newer has nothing to say.
    if (before === undefined || status.version <= before.version) return;
    const friends = new Friends(new Map(this.#friends).set(id, status));
    this.#show(friends, { full: false, changes: [{ id, status, before, reason }] });
  }

  #show(friends, detail) {
    this.#friends = friends;
    for (const listener of [...this.#listeners]) listener(friends);
    this.#emit("change", detail);
  }

  /** @param {State} state */
  #setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.#emit("state", { state });
  }

  // --- what the stream is to hold ---

  /** Whether this tab is the one that talks to the server. */
  get holdsStream() {
    return this.state !== "closed" && (this.#tabs?.isLeader ?? true);
  }

  #wish() {
    const all = [this.#watched, ...this.#watchedElsewhere.values()];
    const { friends } = this.#options;
    return { users: [...new Set(all.flat())].map(idOf), friends, idle: this.idle };
  }

  /** In a moment, for the tabs tell what they watch one by one. */
  #reopenSoon() {
    clearTimeout(this.#reopenTimer);
    this.#reopenTimer = setTimeout(() => {
      const isNew = String(this.#wish().users) !== String(this.#wished);
      if (isNew && this.holdsStream) this.#connection.reopen();
    }, REOPEN_MS);
  }

  #emit(name, detail) {
    this.dispatchEvent(new DetailEvent(name, detail));
  }

  /** To what tells that a connection may be dead, or that a new one may succeed. */
  #listen() {
    this.#stopListening();
    const { document } = globalThis;
    const abort = new AbortController();
    const on = (target, name, run) =>
      target?.addEventListener?.(name, run, { signal: abort.signal });
    on(globalThis, "online", () => this.#connection.wake(true));
    on(globalThis, "pageshow", ({ persisted }) => persisted && this.connect());
    on(globalThis, "pagehide", () => this.#stop());
    on(document, "resume", () => this.#connection.wake(true));
    on(document, "visibilitychange", () => document.hidden || this.#connection.wake(false));
    this.#stopListening = () => abort.abort();
  }
}

// --- "5 minutes ago" ------------------------------------------------------------------------------

/** @type {[Intl.RelativeTimeFormatUnit, number, number][]} unit, its seconds, steps of so many seconds */
const UNITS = [
  ["day", 86400, 86400],
  ["hour", 3600, 3600],
  ["minute", 60, 60],
  ["second", 1, 10],
];

function agoOf(time, now) {
  const seconds = Math.max((now - Date.parse(time)) / 1000, 0);
  const unit = UNITS.find(([, size]) => seconds >= size) ?? UNITS[UNITS.length - 1];
  return { seconds, unit };
}

/**
 * How long ago a time was, in words: "5 minutes ago", "5분 전".
 * @param {string} time RFC 3339
 * @param {{locale?: string, now?: number}} [options] `now` in milliseconds: client.now()
 */
export function formatLastSeen(time, { locale, now = Date.now() } = {}) {
  const { seconds, unit } = agoOf(time, now);
  const [name, size, step] = unit;
  const whole = Math.floor(seconds / step) * step;
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  return format.format(whole === 0 ? 0 : -whole / size, name);
}

/**
 * Milliseconds until those words change: one timer for a page is enough.
 * @param {string} time RFC 3339
 * @param {number} [now] in milliseconds: client.now()
 */
export function untilLastSeenChanges(time, now = Date.now()) {
  const { seconds, unit } = agoOf(time, now);
  const step = unit[2];
  return (step - (seconds % step)) * 1000;
}
