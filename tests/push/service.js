/*
 * A push service for the tests, on loopback, over TLS:
 *
 *     node service.js KEY CERTIFICATE OUTPUT
 *
 * writes its ports to OUTPUT as JSON once it listens: `https` (HTTP/1.1) and
 * `h2` (HTTP/2), both for paths that say how to answer, `foreign` where the npm
 * package web-push-testing decrypts what it gets, and `closed`, where TLS fails.
 *
 * Paths under /as: /as/STATUS, /as/STATUS/TIMES (that answer so often, then 201),
 * each with anything after it; `hang` as STATUS never answers, `redirect` is 307
 * to /as/201, `limit` is 413 for bodies over 1200 bytes. GET /log is what came:
 * method, path, header fields, length, when. `plain` is HTTP without TLS; there
 * a real browser finds what browser.js has, which gets what comes to /wpush.
 */
"use strict";

const fs = require("fs");
const http = require("http");
const http2 = require("http2");
const https = require("https");
const net = require("net");

const browser = require("./browser.js");

const [, , keyFile, certFile, outFile] = process.argv;
const tls = { key: fs.readFileSync(keyFile), cert: fs.readFileSync(certFile) };
const log = [];
const seen = new Map();

function answer(request, response, body) {
  const [, , kind, times] = request.url.split("/");
  const count = (seen.get(request.url) || 0) + 1;
  seen.set(request.url, count);
  if (kind === "hang" || browser.serve(request, response, body)) return;
  if (request.url.startsWith("/wpush/")) {
    browser.push(kind, request.headers["content-encoding"], body);
    response.writeHead(201);
    response.end();
    return;
  }
  if (kind === "redirect") {
    response.writeHead(307, { location: "/as/201/redirected" });
  } else if (kind === "limit") {
    response.writeHead(body.length > 1200 ? 413 : 201);
  } else if (/^\d+$/.test(times) && count > Number(times)) {
    response.writeHead(201);
  } else {
    response.writeHead(Number(kind) || 404, Number(kind) === 429 ? { "retry-after": "3" } : {});
  }
  response.end();
}

function serve(request, response) {
  const body = [];
  if (request.method === "GET" && request.url === "/log") {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(log));
    return;
  }
  request.on("data", (piece) => body.push(piece));
  request.on("end", () => {
    const whole = Buffer.concat(body);
    log.push({
      method: request.method, path: request.url, headers: { ...request.headers },
      version: request.httpVersion, length: whole.length, body: whole.toString("latin1"),
      time: Date.now(),
    });
    answer(request, response, whole);
  });
}

/* The foreign one is made for http://localhost: only its TLS and its address are ours. */
function foreign() {
  const Server = require("web-push-testing/src/server.js");
  const PushApiModel = require("web-push-testing/src/PushApiModel.js");
  const model = new PushApiModel();
  const application = new Server(model, 0);
  application.setRequestHandlers();
  return { model, server: https.createServer(tls, application._app) };
}

function listen(server) {
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));
}

async function main() {
  const other = foreign();
  const plain = http.createServer(serve);
  const ports = {
    https: await listen(https.createServer(tls, serve)),
    h2: await listen(http2.createSecureServer({ ...tls, allowHTTP1: true }, serve)),
    plain: await listen(plain),
    foreign: await listen(other.server),
    closed: await listen(net.createServer((socket) => socket.end("this is not TLS\n"))),
  };
  plain.on("upgrade", browser.upgrade(ports.https));
  other.model.notifyUrl = `https://localhost:${ports.foreign}/notify/`;
  fs.writeFileSync(outFile + ".new", JSON.stringify(ports));
  fs.renameSync(outFile + ".new", outFile);
}

main();
