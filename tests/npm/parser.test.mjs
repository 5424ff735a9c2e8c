// presence.js' reader of event streams beside eventsource-parser, on generated input cut anywhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createParser } from "eventsource-parser";

const { EventStreamParser } = await import(process.env.PRESENCE_JS);
const SEED = Number(process.env.PARSER_SEED ?? 1);
const STREAMS = 2000;

/** The same numbers for the same seed (mulberry32). */
function randomFrom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const PIECES = [
  "data: {}", "data", "data:", "data: ", "data:  two blanks", "data: a:b", ": comment", ":",
  "event: initial", "event:bye", "event", "event:", "id: 7", "id", "retry: 1500", "retry: x",
  "unknown: field", "unknown", " data: not a field", "data: \u{1F469}\u200D\u{1F4BB}", "data: é", "",
];
const ENDS = ["\n", "\n", "\n", "\r\n", "\r"];

function makeStream(random) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  let text = "";
  for (let i = Math.floor(random() * 30); i >= 0; i--) {
    text += pick(PIECES) + pick(ENDS);
    if (random() < 0.3) text += pick(ENDS);
  }
  return text;
}

function cut(text, random) {
  const pieces = [];
  while (text !== "") {
    const length = 1 + Math.floor(random() * (random() < 0.5 ? 3 : 40));
    pieces.push(text.slice(0, length));
    text = text.slice(length);
  }
  return pieces;
}

function ours(pieces) {
  const events = [];
  const parser = new EventStreamParser((event) => events.push(event));
  for (const piece of pieces) parser.push(piece);
  return events;
}

function theirs(text) {
  const events = [];
  const parser = createParser({
    onEvent: ({ event, data }) => events.push({ type: event || "message", data }),
  });
  parser.feed(text);
  return events;
}

test("generated streams are read as eventsource-parser reads them, wherever they are cut", () => {
  const random = randomFrom(SEED);
  let events = 0;
  for (let i = 0; i < STREAMS; i++) {
    // One line end more, for their parser keeps back a CR that may be half of a CRLF.
    const text = `${makeStream(random)}\n`;
    const expected = theirs(text);
    events += expected.length;
    assert.deepEqual(ours(cut(text, random)), expected, `seed ${SEED}, stream ${i}: ${JSON.stringify(text)}`);
  }
  assert.ok(events > STREAMS, `only ${events} events in ${STREAMS} streams`);
});

test("a line without an end is not collected for ever", () => {
  const parser = new EventStreamParser(() => {});
  const piece = "x".repeat(2 ** 20);
  assert.throws(() => {
    for (let i = 0; i < 64; i++) parser.push(piece);
  }, /without end/);
});
