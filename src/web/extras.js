// presence-client/extras: what a user does besides looking. States, settings, blocks, being idle,
// typing, who is near, push; each part works by itself, on a PresenceClient.

/** @typedef {import("./presence.js").PresenceClient} PresenceClient */
/** @typedef {import("./presence.js").Status} Status */
/** @typedef {number|string} Id */

/**
 * What a user chooses to look like. Without `status` the state stays automatic.
 * @typedef {object} Choice
 * @property {"online"|"away"|"busy"|"meeting"|"dnd"|"invisible"} [status]
 * @property {string} [text] at most 100 characters
 * @property {string} [emoji]
 * @property {number} [expires_in] seconds
 */

/**
 * @typedef {object} Settings
 * @property {"exact"|"coarse"|"nobody"} last_seen
 * @property {boolean} typing
 * @property {"off"|"friends"} nearby
 */

const IDLE_MS = 300000;
const INPUTS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"];
const INPUT_MS = 10000; // how often tabs tell each other of input
const TYPING_MS = 4000; // between two starts
const PAUSE_MS = 5000; // without a key: no longer typing
const NEARBY_SECONDS = 1800; // as long as the server keeps a place
const LOCATE_MS = 300000; // how often a shared location is told

// --- states, settings, blocks: each throws an ApiError --------------------------------------------

const pathOf = (what, id) => `/presence/${what}/${encodeURIComponent(String(id))}`;

/**
 * Chooses a state, on all devices; gives one's own Status.
 * @param {PresenceClient} client
 * @param {Choice} choice
 * @returns {Promise<Status>}
 */
export const setStatus = (client, choice) => client.call("PUT", "/presence/status", choice);

/**
 * Goes back to the automatic state.
 * @param {PresenceClient} client
 * @returns {Promise<Status>}
 */
export const clearStatus = (client) => client.call("DELETE", "/presence/status");

/**
 * One's own Status with what was chosen.
 * @param {PresenceClient} client
 * @returns {Promise<Status & {chosen: Choice|null}>}
 */
export const getStatus = (client) => client.call("GET", "/presence/status");

/**
 * @param {PresenceClient} client
 * @returns {Promise<Settings>}
 */
export const getSettings = (client) => client.call("GET", "/presence/settings");

/**
 * Changes some of the settings, and gives those that hold.
 * @param {PresenceClient} client
 * @param {Partial<Settings>} changes
 * @returns {Promise<Settings>}
 */
export async function changeSettings(client, changes) {
  const settings = await getSettings(client);
  return client.call("PUT", "/presence/settings", { ...settings, ...changes });
}

/**
 * Neither sees the other any more.
 * @param {PresenceClient} client
 * @param {Id} id
 * @returns {Promise<null>}
 */
export const block = (client, id) => client.call("PUT", pathOf("blocks", id));

/**
 * @param {PresenceClient} client
 * @param {Id} id
 * @returns {Promise<null>}
 */
export const unblock = (client, id) => client.call("DELETE", pathOf("blocks", id));

/**
 * Whom one blocks.
 * @param {PresenceClient} client
 * @returns {Promise<Id[]>}
 */
export const getBlocks = async (client) =>
  (await client.call("GET", "/presence/blocks")).user_ids;

// --- nobody at the device -------------------------------------------------------------------------

/**
 * Tells the server when there was no input for a while in any tab of this browser, and when there is
 * some again; the user is away when all devices say so. Gives what ends it.
 * @param {PresenceClient} client
 * @param {{afterMs?: number}} [options] 5 minutes unless given
 * @returns {() => void}
 */
export function detectIdle(client, { afterMs = IDLE_MS } = {}) {
  const channel = globalThis.BroadcastChannel && new BroadcastChannel("presence-input");
  const abort = new AbortController();
  let inputAt = Date.now();
  let timer = 0;
  /** @type {boolean|null} what this tab has told */
  let told = null;

  // By the tab that holds the stream, once; and again by the next one.
  const tell = async () => {
    const { idle, self } = client;
    if (!client.holdsStream) told = null;
    if (!client.holdsStream || self === null || idle === told) return;
    // Nobody needs to be told that somebody is here, unless an earlier page has said the contrary.
    if (told === null && !idle && self.status !== "away") return;
    told = idle;
    try {
      await client.call("POST", "/online-status/heartbeat", { idle });
    } catch {
      told = null; // said with the next event
    }
  };
  const check = () => {
    const left = inputAt + afterMs - Date.now();
    clearTimeout(timer);
    client.idle = left <= 0;
    if (left > 0) timer = Number(setTimeout(check, left));
    tell();
  };
  const note = () => {
    inputAt = Date.now();
    check();
  };
  const onInput = () => {
    if (!client.idle && Date.now() - inputAt < Math.min(INPUT_MS, afterMs / 2)) return;
    channel?.postMessage(null);
    note();
  };

  const { signal } = abort;
  for (const name of INPUTS) globalThis.addEventListener(name, onInput, { signal, passive: true });
  document.addEventListener("visibilitychange", () => document.hidden || onInput(), { signal });
  if (channel) channel.onmessage = note;
  client.addEventListener("self", tell);
  client.addEventListener("state", tell);
  onInput();
  check();
  return () => {
    abort.abort();
    channel?.close();
    clearTimeout(timer);
    client.removeEventListener("self", tell);
    client.removeEventListener("state", tell);
    client.idle = false;
  };
}

// --- typing and nearby ----------------------------------------------------------------------------

/**
 * Users about whom something holds for a time: each forgotten when its time ends. A store of a Map by
 * id, as text, that is new with each change: subscribe() fits React and Svelte.
 * @template T
 */
class Fleeting {
  /** @type {ReadonlyMap<string, T>} */
  #map = new Map();
  /** @type {Map<string, any>} timers by id */
  #timers = new Map();
  /** @type {Set<(map: ReadonlyMap<string, T>) => void>} */
  #listeners = new Set();

  constructor() {
    this.subscribe = this.subscribe.bind(this);
    this.getSnapshot = this.getSnapshot.bind(this);
  }

  getSnapshot() {
    return this.#map;
  }

  /**
   * @param {(map: ReadonlyMap<string, T>) => void} listener called now and after each change
   * @returns {() => void}
   */
  subscribe(listener) {
    const entry = (map) => listener(map);
    this.#listeners.add(entry);
    entry(this.#map);
    return () => this.#listeners.delete(entry);
  }

  /** @protected @param {string} id @param {T} value @param {number} seconds */
  set(id, value, seconds) {
    clearTimeout(this.#timers.get(id));
    this.#timers.set(id, setTimeout(() => this.delete(id), seconds * 1000));
    this.#show(new Map(this.#map).set(id, value));
  }

  /** @protected @param {string} id */
  delete(id) {
    clearTimeout(this.#timers.get(id));
    if (!this.#timers.delete(id)) return;
    const map = new Map(this.#map);
    map.delete(id);
    this.#show(map);
  }

  close() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#show(new Map());
  }

  #show(map) {
    this.#map = map;
    for (const listener of [...this.#listeners]) listener(map);
  }
}

/**
 * Who is typing to this user, and that this user is typing. The map's values are the names of the
 * conversations, "" for none. What cannot be told is not told: typing is no news an hour later.
 * @extends {Fleeting<string>}
 */
export class Typing extends Fleeting {
  #client;
  /** @type {Map<string, {sentAt: number, timer: any, body: object}>} to whom this user is typing */
  #to = new Map();
  #onTyping;

  /** @param {PresenceClient} client */
  constructor(client) {
    super();
    this.#client = client;
    this.#onTyping = ({ detail }) => {
      const { user_id: id, typing, conversation = "", expires_in: seconds } = detail;
      if (typing) this.set(String(id), conversation, seconds);
      else this.delete(String(id));
    };
    this.open();
  }

  /** Listens, as a new one does; for who has closed it. Gives what closes it. */
  open() {
    this.#client.addEventListener("typing", this.#onTyping);
    return () => this.close();
  }

  /**
   * For each key: tells the user, or up to 5 of them, at the first one and every 4 seconds, and that it
   * is over when there is none for 5 seconds.
   * @param {Id|Id[]} to
   * @param {{conversation?: string}} [options]
   */
  input(to, { conversation } = {}) {
    const key = String(to);
    const body = { to, conversation };
    const { sentAt = -Infinity, timer = 0 } = this.#to.get(key) ?? {};
    const now = performance.now();
    const isDue = now - sentAt >= TYPING_MS;
    clearTimeout(timer);
    this.#to.set(key, {
      sentAt: isDue ? now : sentAt,
      timer: setTimeout(() => this.stop(to), PAUSE_MS),
      body,
    });
    if (isDue) this.#tell({ ...body, typing: true });
  }

  /**
   * For what ends it: the text is sent, or the field is left.
   * @param {Id|Id[]} to
   */
  stop(to) {
    const entry = this.#to.get(String(to));
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#to.delete(String(to));
    this.#tell({ ...entry.body, typing: false });
  }

  close() {
    super.close();
    this.#client.removeEventListener("typing", this.#onTyping);
    for (const { timer } of this.#to.values()) clearTimeout(timer);
    this.#to.clear();
  }

  #tell(body) {
    this.#client.call("POST", "/presence/typing", body).catch(() => {});
  }
}

/**
 * Which friends are near, of those who share their place as this user does. The map's values are true.
 * @extends {Fleeting<true>}
 */
export class Nearby extends Fleeting {
  #client;
  #onNearby;
  #onState;
  #onChange;
  /** @type {Map<string, number>} when an event last told of a user: an answer asked for before is older */
  #heardAt = new Map();
  /** @type {any} that it goes on is not told: it is asked for in time */
  #timer;

  /** @param {PresenceClient} client */
  constructor(client) {
    super();
    this.#client = client;
    this.#onNearby = ({ detail: { user_id: id, nearby, expires_in: seconds } }) => {
      this.#heardAt.set(String(id), performance.now());
      if (nearby) this.set(String(id), true, seconds);
      else this.delete(String(id));
    };
    this.#onState = () => this.#ask();
    this.#onChange = ({ detail: { full, changes } }) => {
      for (const { id, status } of changes) {
        if (status.is_online) continue;
        this.#heardAt.set(id, performance.now());
        this.delete(id);
      }
      if (full) this.#ask();
    };
    this.#timer = setInterval(this.#onState, NEARBY_SECONDS * 500);
    this.#timer.unref?.(); // in Node it keeps nothing running
    client.addEventListener("nearby", this.#onNearby);
    client.addEventListener("state", this.#onState);
    client.addEventListener("change", this.#onChange);
    this.#ask();
  }

  close() {
    super.close();
    clearInterval(this.#timer);
    this.#client.removeEventListener("nearby", this.#onNearby);
    this.#client.removeEventListener("state", this.#onState);
    this.#client.removeEventListener("change", this.#onChange);
  }

  /** Who is near already; events tell the rest. */
  async #ask() {
    if (this.#client.state !== "live") return;
    const askedAt = performance.now();
    const { user_ids: ids } = await this.#client.call("GET", "/presence/nearby").catch(() => ({}));
    if (ids === undefined) return;
    const near = ids.map(String);
    const isNews = (id) => (this.#heardAt.get(id) ?? -Infinity) < askedAt;
    for (const id of this.getSnapshot().keys()) if (!near.includes(id) && isNews(id)) this.delete(id);
    for (const id of near) if (isNews(id)) this.set(id, true, NEARBY_SECONDS);
  }
}

/** @returns {Promise<{lat: number, lon: number}>} */
const whereTheDeviceIs = () =>
  new Promise((resolve, reject) => {
    const take = ({ coords }) => resolve({ lat: coords.latitude, lon: coords.longitude });
    navigator.geolocation.getCurrentPosition(take, reject, { maximumAge: LOCATE_MS });
  });

/**
 * Shares the device's place, as a cell of about a kilometre, for as long as nothing ends it. Needs
 * the setting nearby = "friends".
 * @param {PresenceClient} client
 * @param {{where?: () => {lat: number, lon: number}|Promise<{lat: number, lon: number}>,
 *   onError?: (error: unknown) => void}} [options]
 * @returns {() => Promise<null>} what ends it
 */
export function shareLocation(client, { where = whereTheDeviceIs, onError = () => {} } = {}) {
  const put = async () => {
    try {
      await client.call("PUT", "/presence/location", await where());
    } catch (error) {
      onError(error);
    }
  };
  const timer = setInterval(put, LOCATE_MS);
  put();
  return () => {
    clearInterval(timer);
    return client.call("DELETE", "/presence/location");
  };
}

// --- push -----------------------------------------------------------------------------------------

/**
 * Subscribes this browser, whose permission to show notifications is asked for: call it when the user
 * clicks something. The service worker is that of service-worker.js, or one like it.
 * @param {PresenceClient} client
 * @param {{registration: ServiceWorkerRegistration, device?: string}} options `device`: a name for the
 *   user to know it by
 * @returns {Promise<string>} the subscription's id
 */
export async function enablePush(client, { registration, device }) {
  const { public_key: applicationServerKey } = await client.call("GET", "/push/key");
  const { pushManager } = registration;
  const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
  const body = { ...subscription.toJSON(), device };
  return (await client.call("POST", "/push/subscriptions", body)).id;
}

/**
 * @param {PresenceClient} client
 * @param {{registration: ServiceWorkerRegistration}} options
 * @returns {Promise<void>}
 */
export async function disablePush(client, { registration }) {
  const subscription = await registration.pushManager.getSubscription();
  if (subscription === null) return;
  // The same endpoint again is the same subscription: so its id is known.
  const { id } = await client.call("POST", "/push/subscriptions", subscription.toJSON());
  await client.call("DELETE", `/push/subscriptions/${id}`);
  await subscription.unsubscribe();
}

/**
 * Tells this user once, by push, when that friend comes online the next time.
 * @param {PresenceClient} client
 * @param {Id} id
 * @returns {Promise<null>}
 */
export const tellWhenOnline = (client, id) =>
  client.call("POST", `/push/when-online/${encodeURIComponent(String(id))}`);

/**
 * @param {PresenceClient} client
 * @param {Id} id
 * @returns {Promise<null>}
 */
export const doNotTell = (client, id) =>
  client.call("DELETE", `/push/when-online/${encodeURIComponent(String(id))}`);
