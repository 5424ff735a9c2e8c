// One of the two people of the showcase: a login form, or what this person sees.

import { Home } from "./home.js";
import { Login } from "./login.js";

export class Person {
  #root;
  #side;
  #around;
  /** @type {Login|Home|null} */
  #view = null;

  /**
   * @param {HTMLElement} root
   * @param {"first"|"second"} side
   * @param {{site: object, log: import("./log.js").Log, onChange: (words: () => string) => void,
   *   onCome: () => void}} around
   */
  constructor(root, side, around) {
    this.#root = root;
    this.#side = side;
    this.#around = around;
    // Each window can have two others: a session is the window's own.
    const session = JSON.parse(sessionStorage.getItem(this.#store) ?? "null");
    if (session === null) this.#logOut();
    else this.#logIn(session);
  }

  /** What this person sees; null while nobody is logged in. */
  get home() {
    return this.#view instanceof Home ? this.#view : null;
  }

  get #store() {
    return `presence-${this.#side}`;
  }

  /** Logs in with the account that the site offers. */
  async start() {
    if (this.#view instanceof Login) await this.#view.start();
  }

  render() {
    this.#view.render();
  }

  #logOut(notice) {
    this.home?.close();
    sessionStorage.removeItem(this.#store);
    this.#view = new Login(this.#root, {
      site: this.#around.site,
      title: `login.${this.#side}`,
      account: this.#side === "first" ? 0 : 1,
      notice,
      onSession: (session) => {
        this.#logIn(session);
        this.#view.focus();
      },
    });
    this.#around.onCome();
  }

  /** @param {import("./login.js").Session} session */
  #logIn(session) {
    const keep = () => sessionStorage.setItem(this.#store, JSON.stringify(session));
    keep();
    const { site, log, onChange, onCome } = this.#around;
    this.#view = new Home(this.#root, session, {
      base: site.base,
      log,
      on: {
        renewed: keep,
        ended: (notice) => this.#logOut(notice),
        changed: (id, words) => onChange(words),
        loaded: onCome,
      },
    });
    onCome();
  }
}
