// What one person does: a state, a text, stepping away, typing, privacy, a place.

import {
  changeSettings,
  clearStatus,
  detectIdle,
  getSettings,
  getStatus,
  setStatus,
  shareLocation,
} from "./extras.js";

/** Places to pretend: two that are near each other, and one that is not. */
const PLACES = {
  seoul: { lat: 37.5547, lon: 126.9707 },
  namdaemun: { lat: 37.5593, lon: 126.9776 },
  busan: { lat: 35.1152, lon: 129.0403 },
};

export class Controls {
  #root;
  #client;
  #typing;
  #attempt;
  #status = ""; // what is chosen; "" = automatic
  #said = ""; // what `self` said last of what can be chosen
  #stopIdle = () => {};
  /** @type {(() => Promise<null>)|null} */
  #stopSharing = null;

  /**
   * @param {HTMLElement} root
   * @param {import("./presence.js").PresenceClient} client
   * @param {{typing: import("./extras.js").Typing, attempt: (run: () => Promise<void>) => void}} parts
   */
  constructor(root, client, { typing, attempt }) {
    this.#root = root;
    this.#client = client;
    this.#typing = typing;
    this.#attempt = attempt;
    this.#stopIdle = detectIdle(client);
    this.#listen();
  }

  #listen() {
    const on = (selector, name, run) => this.#root.querySelector(selector).addEventListener(name, run);
    for (const button of this.#root.querySelectorAll(".states button")) {
      button.addEventListener("click", () => this.#choose(button.dataset.status));
    }
    on(".state", "submit", (event) => {
      event.preventDefault();
      this.#choose(this.#status);
    });
    on(".step-away", "click", () => this.#attempt(() => this.#stepAway()));
    on(".message", "input", () => this.#typing.input(this.#to()));
    on(".message", "blur", () => this.#typing.stop(this.#to()));
    on(".message-form", "submit", (event) => {
      event.preventDefault();
      this.#typing.stop(this.#to());
      this.#root.querySelector(".message").value = "";
    });
    const { last_seen, typing, nearby, place } = this.#settings;
    last_seen.addEventListener("change", () => this.#change({ last_seen: last_seen.value }));
    typing.addEventListener("change", () => this.#change({ typing: typing.checked }));
    nearby.addEventListener("change", () => this.#change({ nearby: nearby.checked ? "friends" : "off" }));
    place.addEventListener("change", () => this.#attempt(() => this.#share(place.value)));
  }

  get #settings() {
    return this.#root.querySelector(".settings").elements;
  }

  /** Whom one writes to: an id as the API has it. */
  #to() {
    const { value } = this.#root.querySelector(".message-form").elements.to;
    return /^[0-9]+$/.test(value) ? Number(value) : value;
  }

  async load() {
    this.#showSettings(await getSettings(this.#client));
  }

  close() {
    this.#stopIdle();
    this.#stopSharing?.().catch(() => {}); // a logout forgets the place as well
    this.#stopSharing = null;
  }

  // --- the state ---

  #choose(status) {
    const { text, emoji, expires_in: seconds } = this.#root.querySelector(".state").elements;
    const choice = {
      status: status || undefined,
      text: text.value.trim() || undefined,
      emoji: emoji.value.trim() || undefined,
      expires_in: Number(seconds.value) || undefined,
    };
    const isEmpty = !choice.status && !choice.text && !choice.emoji;
    this.#attempt(async () => {
      await (isEmpty ? clearStatus(this.#client) : setStatus(this.#client, choice));
      this.#showChosen(status);
    });
  }

  /** Another device may have chosen: then what was is asked for. */
  async onSelf({ status, text, emoji, invisible }) {
    const said = JSON.stringify([status, text, emoji, invisible]);
    if (said === this.#said) return;
    this.#said = said;
    const { chosen } = await getStatus(this.#client).catch(() => ({ chosen: undefined }));
    if (chosen !== undefined) this.#showChosen(chosen?.status ?? "");
  }

  #showChosen(status) {
    this.#status = status;
    for (const button of this.#root.querySelectorAll(".states button")) {
      button.setAttribute("aria-pressed", String(button.dataset.status === status));
    }
  }

  /** As if nobody had touched the device for 5 minutes, until it is pressed again. */
  async #stepAway() {
    const button = this.#root.querySelector(".step-away");
    const idle = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(idle));
    this.#stopIdle();
    this.#client.idle = idle;
    this.#stopIdle = idle ? () => {} : detectIdle(this.#client);
    await this.#client.call("POST", "/online-status/heartbeat", { idle });
  }

  // --- typing, privacy, a place ---

  /** @param {{id: string, name: string}[]} friends whom one may write to */
  showFriends(friends) {
    const { to } = this.#root.querySelector(".message-form").elements;
    const before = to.value;
    to.replaceChildren(...friends.map(({ id, name }) => new Option(name, id)));
    if (friends.some(({ id }) => id === before)) to.value = before;
  }

  /** @param {string} id of the friend whom one writes to */
  writeTo(id) {
    const { to } = this.#root.querySelector(".message-form").elements;
    if ([...to.options].some(({ value }) => value === id)) to.value = id;
  }

  async #change(changes) {
    await this.#attempt(async () => this.#showSettings(await changeSettings(this.#client, changes)));
  }

  #showSettings(settings) {
    const { last_seen, typing, nearby, place } = this.#settings;
    last_seen.value = settings.last_seen;
    typing.checked = settings.typing;
    nearby.checked = settings.nearby === "friends";
    place.disabled = !nearby.checked;
    if (nearby.checked || place.value === "") return;
    place.value = "";
    this.#attempt(() => this.#share(""));
  }

  async #share(name) {
    const stop = this.#stopSharing;
    this.#stopSharing = null;
    await stop?.();
    if (name === "") return;
    const where = name in PLACES ? { where: () => PLACES[name] } : {};
    const onError = (error) => this.#attempt(() => Promise.reject(error));
    this.#stopSharing = shareLocation(this.#client, { ...where, onError });
  }
}
