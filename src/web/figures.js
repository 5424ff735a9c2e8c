// What follows from the figures of the service (docs/api.md, GET /api/presence/stream/admin): sums,
// rates and quantiles of what came in the last minutes.

const KEEP_MS = 120000;
const WINDOW_MS = 60000; // of a quantile, and of "in the last minute"

/** A figure that is told apart by something, as one number. */
export function sumOf(figure) {
  if (typeof figure === "number") return figure;
  return Object.values(figure ?? {}).reduce((sum, part) => sum + sumOf(part), 0);
}

/** @param {number[][]} buckets pairs of an upper bound and how many were at most that */
function quantileOf(buckets, count, q) {
  const rank = q * count;
  let below = [0, 0];
  for (const [bound, upTo] of buckets) {
    if (upTo >= rank && upTo > below[1]) {
      return below[0] + ((bound - below[0]) * (rank - below[1])) / (upTo - below[1]);
    }
    below = [bound, upTo];
  }
  return below[0]; // beyond the last bound
}

export class History {
  /** @type {{ms: number, figures: object}[]} the newest last */
  #samples = [];

  /** Of one "figures" event. */
  add({ ms, figures }) {
    const last = this.#samples.at(-1);
    // The service's clock is one of Redis: another one, or the same event again, begins anew.
    if (last !== undefined && ms <= last.ms) this.#samples = [];
    this.#samples.push({ ms, figures });
    while (ms - this.#samples[0].ms > KEEP_MS) this.#samples.shift();
  }

  get now() {
    return this.#samples.at(-1)?.figures ?? {};
  }

  /** How much a counter grew from one sample to a later one: all of it where it started over. */
  #growth(name, before, after, pick = sumOf) {
    const was = pick(before.figures[name]);
    const is = pick(after.figures[name]);
    return is >= was ? is - was : is;
  }

  #aMinuteAgo() {
    const { ms } = this.#samples.at(-1);
    return this.#samples.find((sample) => ms - sample.ms <= WINDOW_MS);
  }

  /** A gauge at each time. */
  levels(name) {
    return this.#samples.map(({ figures }) => sumOf(figures[name]));
  }

  /** A counter's growth in a second, from each time to the next. */
  rates(name, pick) {
    return this.#samples.slice(1).map((after, i) => {
      const before = this.#samples[i];
      return (1000 * this.#growth(name, before, after, pick)) / (after.ms - before.ms);
    });
  }

  /** A counter's growth in the last minute. */
  inAMinute(name, pick) {
    if (this.#samples.length === 0) return 0;
    return this.#growth(name, this.#aMinuteAgo(), this.#samples.at(-1), pick);
  }

  /**
   * The time that a part q of a histogram's last minute did not pass, in seconds; null when there was
   * nothing. `pick` gives one histogram of a figure that has several.
   */
  quantile(name, q, pick = (figure) => figure) {
    if (this.#samples.length === 0) return null;
    const empty = { count: 0, buckets: [] };
    const before = pick(this.#aMinuteAgo().figures[name]) ?? empty;
    const after = pick(this.#samples.at(-1).figures[name]) ?? empty;
    const isAnew = after.count < before.count;
    const of = new Map(isAnew ? [] : before.buckets);
    const count = after.count - (isAnew ? 0 : before.count);
    if (count === 0) return null;
    return quantileOf(after.buckets.map(([bound, upTo]) => [bound, upTo - (of.get(bound) ?? 0)]), count, q);
  }
}
