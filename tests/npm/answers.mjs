// Compares docs/openapi.yaml with what was answered: answers.mjs OPENAPI ROUTES ANSWERS
//   ROUTES   the source file with the table of routes
//   ANSWERS  the directory where the harness of the integration tests keeps each answer
// Every route is described, every answer is one the description allows, and every operation was seen.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createConfig, lint } from "@redocly/openapi-core";
import addFormats from "ajv-formats";
import Ajv2020 from "ajv/dist/2020.js";
import { parse } from "yaml";

const [openapiFile, routesFile, answersDir] = process.argv.slice(2);
const METHODS = ["get", "put", "post", "delete", "patch"];
const BASE = "/api/"; // what the harness configures, but for tests of other paths
const TOLD_MAX = 20;
const openapi = parse(readFileSync(openapiFile, "utf8"));
const complaints = new Map(); // text → how often

function complain(text) {
  complaints.set(text, (complaints.get(text) ?? 0) + 1);
}

/* --- the description itself --- */

async function checkDescription() {
  const config = await createConfig({ extends: ["recommended"] });
  for (const { ruleId, message, location } of await lint({ ref: openapiFile, config })) {
    complain(`lint: ${ruleId}: ${message} at ${location[0].pointer ?? location[0].start.line}`);
  }
  const source = readFileSync(routesFile, "utf8");
  const routes = [...source.matchAll(/\{"([A-Z]+)",\s*"(\/[^"]*)"/g)];
  if (routes.length < 20) complain(`${routesFile}: expected a table of routes, seen ${routes.length}`);
  const described = new Set(operations.map(({ method, path }) => `${method} ${path}`));
  for (const [, method, path] of routes) {
    if (!described.delete(`${method} ${path}`)) complain(`${method} ${path} is not described`);
  }
  for (const operation of described) complain(`${operation} is described and is no route`);
}

/* The value behind a JSON reference, and the pointer to it. */
function resolve(pointer) {
  let value = openapi;
  for (const word of pointer.slice(1).split("/").slice(1)) {
    value = value?.[word.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return value?.$ref !== undefined ? resolve(value.$ref) : { pointer, value };
}

const escaped = (word) => word.replaceAll("~", "~0").replaceAll("/", "~1");

const operations = Object.entries(openapi.paths).flatMap(([path, item]) =>
  METHODS.filter((method) => item[method] !== undefined).map((method) => ({
    method: method.toUpperCase(),
    path,
    matches: new RegExp(`^${path.replace(/\{[^}]+\}/g, "[^/]+")}$`),
    pointer: `#/paths/${escaped(path)}/${method}`,
    responses: item[method].responses,
    seen: false,
  })),
);

/* --- the answers --- */

const ajv = new Ajv2020({ strict: false, validateSchema: false, allErrors: false });
addFormats(ajv);
ajv.addSchema(openapi, "openapi");
const validators = new Map();

function validatorOf(pointer) {
  if (!validators.has(pointer)) {
    const reference = encodeURI(pointer.slice(1)).replaceAll("#", "%23");
    validators.set(pointer, ajv.compile({ $ref: `openapi#${reference}` }));
  }
  return validators.get(pointer);
}

/* Where the responses of this operation describe such a status. */
function responseOf(operation, status) {
  for (const key of [`${status}`, `${Math.floor(status / 100)}XX`, "default"]) {
    if (operation?.responses[key] !== undefined) {
      return resolve(`${operation.pointer}/responses/${key}`);
    }
  }
  return resolve("#/components/responses/Problem");
}

/* What is wrong with an answer; undefined: nothing. */
function fault({ method, status, type, length, json }, { value, pointer }) {
  const content = value.content;
  if (content === undefined) return length === 0 ? undefined : `${length} bytes, expected no body`;
  const media = (type ?? "").split(";")[0];
  if (content[media] === undefined) {
    return `type ${media || "(none)"}, expected ${Object.keys(content).join(" or ")}`;
  }
  if (method === "HEAD" || !media.endsWith("json")) return undefined;
  const validate = validatorOf(`${pointer}/content/${escaped(media)}/schema`);
  if (validate(json)) return undefined;
  const { instancePath, message, params } = validate.errors[0];
  return `body${instancePath} ${message} ${JSON.stringify(params)} in ${JSON.stringify(json).slice(0, 300)}`;
}

/* Whether a web server gave it by itself: an error that lacks what each answer of the service has. */
const isOfWebServer = ({ status, caching }) => status >= 400 && caching !== "no-store";

function checkAnswer(answer, program) {
  const path = answer.path.split("?")[0];
  if (answer.base !== BASE || !path.startsWith(BASE) || isOfWebServer(answer)) return false;
  const local = path.slice(BASE.length - 1);
  const method = answer.method === "HEAD" ? "GET" : answer.method;
  // Of two patterns the one without a parameter.
  const operation = operations
    .filter((one) => one.method === method && one.matches.test(local))
    .sort((a, b) => a.path.includes("{") - b.path.includes("{"))[0];
  const { status } = answer;
  if (method === "OPTIONS" && status === 204) return true;
  const what = `${answer.method} ${operation?.path ?? local}: ${status}`;
  if (operation === undefined && status < 400) {
    complain(`${what}: not described (${program})`);
    return true;
  }
  const wrong = fault(answer, responseOf(operation, status));
  if (wrong !== undefined) complain(`${what}: ${wrong} (${program})`);
  if (operation !== undefined && status < 300) operation.seen = true;
  return true;
}

/* How many answers were checked. */
function checkAnswers() {
  let checked = 0;
  for (const name of readdirSync(answersDir).filter((file) => file.endsWith(".ndjson"))) {
    for (const line of readFileSync(join(answersDir, name), "utf8").split("\n")) {
      if (line !== "" && checkAnswer(JSON.parse(line), name.replace(".ndjson", ""))) checked++;
    }
  }
  // The harness reads streams by itself.
  const unseen = operations.filter(({ seen, path }) => !seen && path !== "/presence/stream");
  for (const { method, path } of unseen) complain(`${method} ${path}: no test has it succeed`);
  return checked;
}

await checkDescription();
const checked = checkAnswers();
console.log(`${checked} answers to ${operations.length} operations`);
for (const [text, count] of [...complaints].slice(0, TOLD_MAX)) {
  console.log(`FAIL: ${text}${count > 1 ? ` (${count} times)` : ""}`);
}
if (complaints.size > TOLD_MAX) console.log(`and ${complaints.size - TOLD_MAX} more`);
process.exit(complaints.size > 0 ? 1 : 0);
