// The dashboard: the figures of the whole service, once a second, and a look at one user.

import { drawChart, newChart } from "./chart.js";
import { Feed } from "./feed.js";
import { History, sumOf } from "./figures.js";
import { Lookup } from "./lookup.js";
import { explain, languageOf, onLanguage, readSite, startPage, t } from "./page.js";

const STORE = "presence-admin"; // in sessionStorage
const DELAYS_MAX = 120;
const SETTLED = ["away", "unsettled", "settled"];

const $ = (id) => document.getElementById(id);

const history = new History();
/** "live", "degraded" or "connecting", of the stream of figures. */
let state = "connecting";
/** @type {() => string} */
let notice = () => "";
let feed = null;

// --- numbers for people -------------------------------------------------------------------------

function inWords(number) {
  const maximumFractionDigits = number < 10 ? 1 : 0;
  return new Intl.NumberFormat(languageOf(), { maximumFractionDigits }).format(number);
}

function inMilliseconds(seconds) {
  if (seconds === null) return "–";
  const ms = seconds * 1000;
  const format = new Intl.NumberFormat(languageOf(), { maximumSignificantDigits: ms < 1 ? 2 : 3 });
  return t("figure.milliseconds", { ms: format.format(ms) });
}

const latest = (values) => values.at(-1) ?? 0;

// --- tiles: a number and a chart of the last two minutes ------------------------------------------

/** @type {Record<string, {values: () => number[], note?: () => string}>} by the key of its text */
const CHARTS = {
  "dash.streams": {
    values: () => history.levels("streams"),
    note: () => t("dash.of_max", { max: inWords(sumOf(history.now.streams_max)) }),
  },
  "dash.online": { values: () => history.levels("online_users") },
  "dash.changes": { values: () => history.rates("transitions_total") },
  "dash.deliveries": { values: () => history.rates("deliveries_total") },
};

/** How often something went wrong, or nearly: counters by the keys of their texts. */
const COUNTERS = {
  "dash.resyncs": "resyncs_total",
  "dash.drops": "deliveries_dropped_total",
  "dash.ghosts": "ghosts_repaired_total",
};

/** @type {number[]} seconds; delivery's p99 as it was told */
let delays = [];

function newTile(key, withChart) {
  const tile = document.createElement("div");
  const [label, value, note] = ["dt", "dd", "dd"].map((name) => document.createElement(name));
  tile.className = "card tile";
  label.dataset.text = key;
  value.className = "value";
  note.className = "note";
  tile.append(label, value, note);
  if (withChart) tile.append(Object.assign(document.createElement("dd"), { className: "drawing" }));
  tile.querySelector(".drawing")?.append(newChart());
  tile.dataset.tile = key;
  return tile;
}

function fillTile(key, value, note, values) {
  const tile = document.querySelector(`[data-tile="${key}"]`);
  tile.querySelector(".value").textContent = value;
  tile.querySelector(".note").textContent = note;
  if (values !== undefined) drawChart(tile.querySelector(".chart"), values);
}

function renderTiles() {
  for (const [key, { values, note = () => "" }] of Object.entries(CHARTS)) {
    fillTile(key, inWords(latest(values())), note(), values());
  }
  const [p50, p99] = [0.5, 0.99].map((q) => inMilliseconds(history.quantile("delivery_seconds", q)));
  fillTile("dash.delivery", p50, t("dash.minute", { p99 }), delays);
  for (const [key, name] of Object.entries(COUNTERS)) {
    const note = t("dash.in_a_minute", { count: inWords(history.inAMinute(name)) });
    fillTile(key, inWords(sumOf(history.now[name])), note);
  }
}

// --- tables -------------------------------------------------------------------------------------

/** Rows of texts into a table's body; `isBad` marks one that somebody should look at. */
function fillTable(id, rows) {
  $(id).replaceChildren(
    ...rows.map(({ cells, isBad = false }) => {
      const row = document.createElement("tr");
      row.className = isBad ? "bad" : "";
      for (const [i, text] of cells.entries()) {
        const cell = document.createElement(i === 0 ? "th" : "td");
        if (i === 0) cell.scope = "row";
        cell.textContent = text;
        row.append(cell);
      }
      return row;
    }),
  );
}

function renderProcesses() {
  const { streams = {}, connections = {}, redis_up: up = {}, partitions = {} } = history.now;
  const names = [...new Set([streams, connections, up, partitions].flatMap(Object.keys))].sort();
  fillTable(
    "processes",
    names.map((name) => {
      const servers = Object.entries(up[name] ?? {});
      const lost = servers.filter(([, isUp]) => !isUp).map(([server]) => server);
      const counts = SETTLED.map((word) => partitions[name]?.[word] ?? 0);
      const redis = lost.length === 0 ? t("dash.up") : t("dash.lost", { servers: lost.join(", ") });
      const states = SETTLED.map((word, i) => [t(`partition.${word}`), counts[i]])
        .filter(([, count]) => count > 0)
        .map(([word, count]) => `${inWords(count)} ${word}`);
      const settled = states.join(", ") || "–";
      const isBad = lost.length > 0 || counts[0] + counts[1] > 0;
      const number = (figure) => (name in figure ? inWords(sumOf(figure[name])) : "–");
      return { cells: [name, number(streams), number(connections), redis, settled], isBad };
    }),
  );
}

function renderRequests() {
  const { http_requests_total: requests = {} } = history.now;
  const rows = Object.entries(requests).map(([route, byStatus]) => {
    const each = Object.entries(byStatus).map(([status, count]) => `${status}: ${inWords(count)}`);
    const rate = latest(history.rates("http_requests_total", (figure) => sumOf(figure?.[route])));
    const p99 = history.quantile("http_request_seconds", 0.99, (figure) => figure?.[route]);
    const faults = history.inAMinute("http_requests_total", (figure) => sumOf(figure?.[route]?.["5xx"]));
    return { cells: [route, inWords(rate), inMilliseconds(p99), each.join(" · ")], isBad: faults > 0, total: sumOf(byStatus) };
  });
  rows.sort((a, b) => b.total - a.total);
  fillTable("requests", rows);
  $("requests-none").hidden = rows.length > 0;
  $("requests-table").hidden = rows.length === 0;
}

function render() {
  $("connection").dataset.state = state;
  $("connection").textContent = t(state === "degraded" ? "dash.redis_away" : `connection.${state}`);
  $("board").dataset.stale = String(state !== "live");
  $("notice").textContent = notice();
  $("notice").hidden = notice() === "";
  renderTiles();
  renderProcesses();
  renderRequests();
}

// --- coming and going ----------------------------------------------------------------------------

function onEvent(type, data) {
  if (type === "bye") return; // it comes back by itself
  state = type === "degraded" ? "degraded" : "live";
  notice = () => "";
  if (type === "figures") {
    history.add(data);
    delays = [...delays, history.quantile("delivery_seconds", 0.99) ?? 0].slice(-DELAYS_MAX);
  }
  render();
}

function onLost(error, retryInMs) {
  state = "connecting";
  notice = () => `${explain(error)} ${t("error.again", { seconds: Math.ceil(retryInMs / 1000) })}`;
  render();
}

function showLogin(say = () => "") {
  feed?.close();
  sessionStorage.removeItem(STORE);
  $("board").hidden = true;
  $("entry").hidden = false;
  $("connection").hidden = true;
  $("entry-notice").textContent = say();
  $("entry-notice").hidden = say() === "";
  $("token").focus();
}

function start(token) {
  sessionStorage.setItem(STORE, token);
  $("entry").hidden = true;
  $("board").hidden = false;
  $("connection").hidden = false;
  feed = new Feed(`${site.base}/presence/stream/admin`, token, {
    event: onEvent,
    lost: onLost,
    refused: (error) => showLogin(() => explain(error)),
  });
  lookup.token = token;
  render();
}

for (const key of Object.keys(CHARTS)) $("tiles").append(newTile(key, true));
$("tiles").append(newTile("dash.delivery", true));
for (const key of Object.keys(COUNTERS)) $("counters").append(newTile(key, false));
const site = await readSite();
const lookup = new Lookup(site.base);
$("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  start($("token").value.trim());
  $("board-title").focus();
});
$("leave").addEventListener("click", () => showLogin());
onLanguage(render);
startPage();
const kept = sessionStorage.getItem(STORE);
if (kept === null) $("entry").hidden = false;
else start(kept);
