// The demo page: log in, see friends come and go.

import { PresenceClient, formatLastSeen } from "./presence.js";
import {
  block,
  changeSettings,
  clearStatus,
  detectIdle,
  getBlocks,
  getSettings,
  setStatus,
  unblock,
} from "./extras.js";

const BASE = "/api";
const STORE = "presence-demo"; // in sessionStorage: each window can be another user
const REFRESH_MS = 10000; // of "5 minutes ago"
const COUNT_EVERY_MS = 30000;
/** ?poll=MS in the page's URL: how often to ask where the site has no streams. */
const POLL_MS = Number(new URLSearchParams(location.search).get("poll")) || undefined;

const $ = (id) => document.getElementById(id);

/** @type {{token: string, user: {user_id: number|string, name: string}}|null} */
let session = null;
/** @type {PresenceClient|null} */
let client = null;
/** @type {Map<string, string>} names of friends by id */
let names = new Map();
let countTimer = 0;
let stopIdle = () => {};

// --- the server ---------------------------------------------------------------------------------

class ApiError extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `The server answered ${status}`);
    this.status = status;
    this.code = problem?.code ?? "";
  }
}

async function api(method, path, body) {
  const headers = {};
  if (session !== null) headers.Authorization = `Bearer ${session.token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(BASE + path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
  });
  const data = await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(answer.status, data);
  return data;
}

// --- logging in and out -------------------------------------------------------------------------

const BYE = {
  token_expired: "Your session has expired. Please log in again.",
  token_invalid: "Your session is not valid any more. Please log in again.",
  revoked: "Your session was ended elsewhere. Please log in again.",
};

async function logIn(event) {
  event.preventDefault();
  const button = $("login").querySelector("button");
  button.disabled = true;
  try {
    const answer = await api("POST", "/auth/login/json", {
      email: $("email").value.trim(),
      password: $("password").value,
    });
    session = { token: answer.access_token, user: answer.user };
    sessionStorage.setItem(STORE, JSON.stringify(session));
    await start();
  } catch (error) {
    showLogin(error.message);
  } finally {
    button.disabled = false;
  }
}

async function logOut() {
  // Closed first: the server ends this stream with "revoked", which is no news here.
  client.close();
  $("logout").disabled = true;
  try {
    await api("POST", "/auth/logout");
    showLogin();
  } catch (error) {
    if (error.status === 401) {
      showLogin(); // already refused: then logged out is what we are
    } else {
      announce(`Could not log out: ${error.message}`);
      client.connect();
    }
  } finally {
    $("logout").disabled = false;
  }
}

function showLogin(notice = "") {
  stopIdle();
  client?.close();
  client = null;
  session = null;
  sessionStorage.removeItem(STORE);
  clearInterval(countTimer);
  $("notice").textContent = notice;
  $("notice").hidden = notice === "";
  $("connection").hidden = true;
  $("app").hidden = true;
  $("login").hidden = false;
  document.title = "Presence";
  $("email").focus();
}

// --- the live view ------------------------------------------------------------------------------

async function start() {
  $("login").hidden = true;
  $("app").hidden = false;
  $("connection").hidden = false;
  $("my-name").textContent = session.user.name;
  paintFace($("my-face"), String(session.user.user_id), session.user.name);
  document.title = `${session.user.name} – Presence`;
  $("friends").replaceChildren();

  client = new PresenceClient({ base: BASE, getToken, pollMs: POLL_MS });
  client.addEventListener("state", (event) => showState(event.detail.state));
  client.addEventListener("change", (event) => onChange(event.target, event.detail));
  client.addEventListener("self", ({ detail }) => showSelf(detail));
  client.addEventListener("bye", (event) => {
    const notice = BYE[event.detail.reason];
    if (event.target === client && notice !== undefined) showLogin(notice);
  });
  client.connect();

  clearInterval(countTimer);
  countTimer = setInterval(showCount, COUNT_EVERY_MS);
  noticeIdle();
  await Promise.all([loadNames(), showCount(), loadControls()]);
}

/** The session's token; a new one in time, so that a page that stays open stays logged in. */
async function getToken({ reason }) {
  if (reason === "expiring") {
    session.token = (await api("POST", "/auth/refresh")).access_token;
    sessionStorage.setItem(STORE, JSON.stringify(session));
  }
  return session.token;
}

async function loadNames() {
  try {
    const list = await api("GET", "/friends/list");
    names = new Map(list.map((friend) => [String(friend.user_id), friend.name]));
    render();
  } catch {
    // The stream tells of a session that has ended; without names the ids are shown.
  }
}

async function showCount() {
  try {
    const { count } = await api("GET", "/online-status/count");
    $("count").textContent = count === 1 ? "1 user online" : `${count} users online`;
  } catch {
    $("count").textContent = "–";
  }
}

const STATES = {
  connecting: "Connecting…",
  live: "Live",
  polling: "Polling",
  degraded: "May be out of date",
  closed: "Closed",
};

const isCurrent = (state) => state === "live" || state === "polling";

function showState(state) {
  $("connection").textContent = STATES[state];
  $("connection").dataset.state = state;
  $("app").dataset.stale = String(!isCurrent(state));
}

function onChange(source, { full, changes }) {
  if (source !== client) return;
  if (full && changes.some(({ id }) => !names.has(id))) loadNames();
  render();
  showCount();
  const seen = changes.filter(
    ({ status, before }) => before !== undefined && before.is_online !== status.is_online,
  );
  for (const { id } of seen) flash(rowOf(id));
  if (seen.length > 0) {
    announce(seen.map(({ id, status }) => `${nameOf(id)} is ${status.status}`).join(", "));
  }
}

/** What `status` says, in words. */
const WORDS = {
  online: "Online",
  away: "Away",
  busy: "Busy",
  meeting: "In a meeting",
  dnd: "Do not disturb",
};

/** "In a meeting · ☕ Room 4"; what a user wrote is shown as text, never as HTML. */
function inWords({ status, text, emoji }) {
  const said = [emoji, text].filter(Boolean).join(" ");
  return [WORDS[status] ?? WORDS.online, said].filter(Boolean).join(" · ");
}

const nameOf = (id) => names.get(id) ?? `User ${id}`;
const rowOf = (id) => $("friends").querySelector(`[data-id="${CSS.escape(id)}"]`);

/** Online ones first, then the most recently seen. */
function byInterest([idA, a], [idB, b]) {
  return (
    Number(b.is_online) - Number(a.is_online) ||
    (a.is_online ? 0 : (b.last_seen ?? "").localeCompare(a.last_seen ?? "")) ||
    nameOf(idA).localeCompare(nameOf(idB))
  );
}

function render() {
  if (client === null) return;
  const list = $("friends");
  const rows = [...client.friends].sort(byInterest).map(([id, status]) => {
    const row = rowOf(id) ?? newRow(id);
    row.dataset.online = String(status.is_online);
    row.dataset.status = status.status;
    row.querySelector(".name").textContent = nameOf(id);
    paintFace(row.querySelector(".face"), id, nameOf(id));
    paintTime(row.querySelector("time"), status);
    return row;
  });
  // Moving a row restarts its animation and a reader's place in it: only when the order is new.
  if (rows.length !== list.children.length || rows.some((row, i) => row !== list.children[i])) {
    list.replaceChildren(...rows);
  }
  const online = [...client.friends.values()].filter((status) => status.is_online).length;
  $("friends-count").textContent = `${online} of ${rows.length} online`;
  list.hidden = rows.length === 0;
  $("no-friends").hidden = rows.length > 0 || !isCurrent(client.state);
}

function newRow(id) {
  const row = $("friend").content.firstElementChild.cloneNode(true);
  row.dataset.id = id;
  row.querySelector(".block").addEventListener("click", () => attempt(() => changeBlock(block, id)));
  return row;
}

function paintFace(face, id, name) {
  let hue = 0;
  for (const char of id + name) hue = (hue * 31 + char.codePointAt(0)) % 360;
  face.style.setProperty("--hue", hue);
  face.textContent = [...name][0]?.toLocaleUpperCase() ?? "?";
}

function paintTime(time, status) {
  if (status.is_online) {
    time.textContent = inWords(status);
    time.removeAttribute("datetime");
    time.title = "";
  } else if (status.last_seen === null) {
    time.textContent = "Never seen";
    time.removeAttribute("datetime");
    time.title = "";
  } else {
    const ago = formatLastSeen(status.last_seen, { locale: "en", now: client.now() });
    time.textContent = `Last seen ${ago}`;
    time.dateTime = status.last_seen;
    time.title = new Date(status.last_seen).toLocaleString();
  }
}

function flash(row) {
  if (row === null) return;
  row.classList.remove("fresh");
  void row.offsetWidth; // so that the animation starts over
  row.classList.add("fresh");
}

function announce(text) {
  $("news").textContent = text;
}

// --- what others see ----------------------------------------------------------------------------

function showSelf(self) {
  const seen = self.is_online ? inWords(self) : "Offline";
  $("my-state").textContent = self.invisible ? `${seen} · invisible` : seen;
}

/** Runs what the server may refuse, and shows why. */
async function attempt(run) {
  $("refused").hidden = true;
  try {
    await run();
  } catch (error) {
    $("refused").textContent = error.message;
    $("refused").hidden = false;
    $("refused").closest("details").open = true;
  }
}

async function chooseState(event) {
  event.preventDefault();
  const { status, text, emoji, expires_in: seconds } = Object.fromEntries(new FormData($("state")));
  const choice = {
    status: status || undefined,
    text: text.trim() || undefined,
    emoji: emoji.trim() || undefined,
    expires_in: Number(seconds) || undefined,
  };
  const isEmpty = !choice.status && !choice.text && !choice.emoji;
  await attempt(async () => showSelf(await (isEmpty ? clearStatus(client) : setStatus(client, choice))));
}

function noticeIdle() {
  stopIdle();
  stopIdle = detectIdle(client, { afterMs: 1000 * Number($("settings").elements.idle.value) });
}

async function changeBlock(change, id) {
  await change(client, id);
  showBlocks(await getBlocks(client));
}

function showBlocks(ids) {
  const entries = ids.map((id) => {
    const entry = $("blocked").content.firstElementChild.cloneNode(true);
    entry.querySelector(".name").textContent = nameOf(String(id));
    entry.querySelector("button").addEventListener("click", () =>
      attempt(() => changeBlock(unblock, id)),
    );
    return entry;
  });
  $("blocks").replaceChildren(...(entries.length > 0 ? entries : ["nobody"]));
}

async function loadControls() {
  try {
    $("settings").elements.last_seen.value = (await getSettings(client)).last_seen;
    showBlocks(await getBlocks(client));
  } catch {
    // The stream tells of a session that has ended; the controls work all the same.
  }
}

// --- start --------------------------------------------------------------------------------------

$("login").addEventListener("submit", logIn);
$("logout").addEventListener("click", logOut);
$("state").addEventListener("submit", chooseState);
$("settings").elements.idle.addEventListener("change", noticeIdle);
$("settings").elements.last_seen.addEventListener("change", ({ target }) =>
  attempt(() => changeSettings(client, { last_seen: target.value })),
);
setInterval(render, REFRESH_MS);

session = JSON.parse(sessionStorage.getItem(STORE) ?? "null");
if (session === null) showLogin();
else start();
