// The showcase: two people side by side, and a log of what each of them sees.

import { Log } from "./log.js";
import { Person } from "./person.js";
import { onLanguage, readSite, startPage, t } from "./page.js";

const COUNT_EVERY_MS = 30000;

const $ = (id) => document.getElementById(id);

/** @type {Person[]} */
const people = [];
let countTimer = 0;
let site;
const log = new Log();

/** How many are online on the site: asked for by whoever is logged in, after changes and now and then. */
async function showCount() {
  clearTimeout(countTimer);
  countTimer = setTimeout(showCount, COUNT_EVERY_MS);
  const client = people.find(({ home }) => home !== null)?.home.client;
  const answer = await client?.call("GET", "/online-status/count").catch(() => undefined);
  $("online").textContent = answer === undefined ? "–" : String(answer.count);
}

function onChange(words) {
  $("news").textContent = words();
  showCount();
}

/** Somebody has logged in or out, or knows the friends' names now. */
function onCome() {
  if (people.length < 2) return; // the page is being built
  const homes = people.map(({ home }) => home);
  for (const [home, other] of [homes, [...homes].reverse()]) {
    if (home !== null && other !== null) home.writeTo(other.id);
  }
  $("start").hidden = site.accounts.length < 2 || homes.some((home) => home !== null);
  showCount();
}

async function startBoth() {
  for (const person of people) await person.start();
  people[0].home?.focus();
}

function render() {
  log.render();
  for (const person of people) person.render();
  const [first, second] = site.accounts;
  if (second !== undefined) {
    $("start").textContent = t("hero.start", { first: first.name, second: second.name });
  }
}

site = await readSite();
for (const side of ["first", "second"]) {
  people.push(new Person($(side), side, { site, log, onChange, onCome }));
}
for (const { email } of site.accounts) $("accounts").append(new Option("", email));
$("start").addEventListener("click", startBoth);
onLanguage(render);
startPage();
render();
onCome();
