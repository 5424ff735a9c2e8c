// An event stream that comes back by itself, read with a token in the header.

import { ApiError, EventStreamParser } from "./presence.js";

const WAIT_MS = 1000; // doubles with each failure, up to
const WAIT_MAX_MS = 20000;
const SILENCE_MS = 10000; // of a stream that says something each second
const FINAL = [401, 403, 404]; // answers that another try does not change

export class Feed {
  #url;
  #token;
  #on;
  #abort = new AbortController();
  #failures = 0;
  #timer = 0;

  /**
   * @param {string} url
   * @param {string} token
   * @param {{event(type: string, data: object): void, lost(error: ApiError, retryInMs: number): void,
   *   refused(error: ApiError): void}} on `refused`: it is not tried again
   */
  constructor(url, token, on) {
    this.#url = url;
    this.#token = token;
    this.#on = on;
    this.#open();
  }

  close() {
    this.#abort.abort("closed");
    clearTimeout(this.#timer);
  }

  async #open() {
    const abort = new AbortController();
    this.#abort = abort;
    let error = new ApiError("connection_lost", "");
    try {
      await this.#read(abort);
    } catch (reason) {
      error = reason instanceof ApiError ? reason : new ApiError("network", "");
    }
    if (abort !== this.#abort || abort.signal.reason === "closed") return;
    clearTimeout(this.#timer);
    if (FINAL.includes(error.status)) this.#on.refused(error);
    else this.#retry(error);
  }

  async #read(abort) {
    const headers = { Authorization: `Bearer ${this.#token}`, Accept: "text/event-stream" };
    this.#watch(abort);
    const answer = await fetch(this.#url, { headers, cache: "no-store", signal: abort.signal });
    if (!answer.ok) throw await ApiError.of(answer);
    const parser = new EventStreamParser(({ type, data }) => {
      this.#failures = 0;
      this.#on.event(type, JSON.parse(data));
    });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#watch(abort);
      parser.push(value);
    }
  }

  /** A connection that says nothing is dead. */
  #watch(abort) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => abort.abort("silent"), SILENCE_MS);
  }

  #retry(error) {
    const doubled = Math.min(WAIT_MS * 2 ** this.#failures++, WAIT_MAX_MS);
    const wait = Math.max(doubled * (0.5 + Math.random()), error.retryAfterMs);
    this.#on.lost(error, wait);
    this.#timer = setTimeout(() => this.#open(), wait);
  }
}
