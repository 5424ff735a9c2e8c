// The login form of one person, or of an operator: an account of the site, or a token.

import { ApiError } from "./presence.js";
import { copyOf, explain, t } from "./page.js";

/** POST that gives the answer's JSON, or throws an ApiError. */
async function post(url, body) {
  let answer;
  try {
    answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new ApiError("network", "no answer");
  }
  if (!answer.ok) throw await ApiError.of(answer);
  return answer.json();
}

/** Who a token is for, as far as it says so. */
function userOf(token) {
  try {
    const bytes = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const text = new TextDecoder().decode(Uint8Array.from(bytes, (char) => char.charCodeAt(0)));
    const { sub, name } = JSON.parse(text);
    return { user_id: sub, name: name ?? t("friends.user", { id: sub }) };
  } catch {
    throw new ApiError("token_invalid", "not a token", 401);
  }
}

/** @typedef {{token: string, user: {user_id: number|string, name: string}}} Session */

export class Login {
  #form;
  #site;
  #title;
  #onSession;
  #isTrying = false;
  /** @type {() => string} */
  #notice;

  /**
   * @param {HTMLElement} root
   * @param {{site: object, title: string, account?: number, notice?: () => string,
   *   onSession: (session: Session) => void}} options `title`: the key of a text;
   *   `account`: which one of the site's to offer
   */
  constructor(root, { site, title, account, notice = () => "", onSession }) {
    this.#site = site;
    this.#title = title;
    this.#notice = notice;
    this.#onSession = onSession;
    this.#form = copyOf("login");
    const offered = site.accounts[account];
    if (offered !== undefined) this.#fill(offered);
    this.#onSubmit(".with-password", ({ email, password }) => this.#withPassword(email.trim(), password));
    this.#onSubmit(".with-token", async ({ token }) => ({ token: token.trim(), user: userOf(token.trim()) }));
    const hadFocus = root.contains(document.activeElement);
    root.replaceChildren(this.#form);
    this.render();
    if (hadFocus) this.#form.querySelector("[name=email]").focus();
  }

  /** Logs in with the account that the form offers. */
  async start() {
    await this.#try(this.#form.querySelector(".with-password"), ({ email, password }) =>
      this.#withPassword(email, password),
    );
  }

  render() {
    const { accounts, password } = this.#site;
    this.#form.querySelector("h2").textContent = t(this.#title);
    const hint = accounts.length > 0 ? t("login.hint", { password }) : t("login.friends");
    this.#form.querySelector(".hint").textContent = hint;
    const notice = this.#form.querySelector(".notice");
    notice.textContent = this.#notice();
    notice.hidden = notice.textContent === "";
  }

  #fill({ email }) {
    const { elements } = this.#form.querySelector(".with-password");
    elements.email.value = email;
    elements.password.value = this.#site.password;
  }

  #onSubmit(selector, logIn) {
    this.#form.querySelector(selector).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#try(event.target, logIn);
    });
  }

  async #try(form, logIn) {
    if (this.#isTrying) return; // a button that is disabled would lose the focus
    this.#isTrying = true;
    try {
      this.#onSession(await logIn(Object.fromEntries(new FormData(form))));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#notice = () => explain(error);
      this.render();
    } finally {
      this.#isTrying = false;
    }
  }

  /** @returns {Promise<Session>} */
  async #withPassword(email, password) {
    try {
      const answer = await post(`${this.#site.base}/auth/login/json`, { email, password });
      return { token: answer.access_token, user: answer.user };
    } catch (error) {
      if (error.status === 404) throw new ApiError("no_login", "login = external", 404);
      throw error;
    }
  }
}
