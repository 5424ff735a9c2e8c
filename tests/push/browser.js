/*
 * What a real Firefox needs to subscribe here (dom.push.serverURL): the WebSocket
 * by which it gets its endpoint and its messages, and a page that subscribes as
 * soon as the connection is there. GET /said is what the page and its service
 * worker reported.
 */
"use strict";

const crypto = require("crypto");

const WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 section 1.3
const SETTLED = 1500; // ms after "hello": before, a subscription may never be answered
const sockets = new Set();
const said = {};
let helloAt = Infinity;

const page = `<!doctype html><title>push</title><script>
const say = (what) => fetch("/say", { method: "POST", body: JSON.stringify(what) });
const pause = () => new Promise((done) => setTimeout(done, 200));
(async () => {
  try {
    const registration = await navigator.serviceWorker.register("/worker.js");
    await navigator.serviceWorker.ready;
    while ((await fetch("/ready")).status !== 200) await pause();
    const subscription = await registration.pushManager.subscribe({
      userVisibleOnly: true,
      applicationServerKey: new URLSearchParams(location.search).get("key"),
    });
    say({ subscription: subscription.toJSON() });
  } catch (error) {
    say({ error: String(error) });
  }
})();
</script>`;
const worker = `self.addEventListener("push", (event) => event.waitUntil(Promise.all([
  fetch("/say", { method: "POST", body: JSON.stringify({ pushed: event.data.text() }) }),
  self.registration.showNotification("pushed"),
])));`;

/* One frame, unmasked, of less than 64 KB. */
function send(socket, message) {
  const body = Buffer.from(JSON.stringify(message));
  const length = body.length < 126 ? [body.length] : [126, body.length >> 8, body.length & 255];
  socket.write(Buffer.concat([Buffer.from([0x81, ...length]), body]));
}

function onMessage(socket, port, message) {
  if (message.messageType === "hello") {
    helloAt = Date.now();
    send(socket, { messageType: "hello", uaid: crypto.randomBytes(16).toString("hex"),
      status: 200, use_webpush: true, broadcasts: {} });
  } else if (message.messageType === "register") {
    send(socket, { messageType: "register", channelID: message.channelID, status: 200,
      pushEndpoint: `https://localhost:${port}/wpush/${message.channelID}` });
  }
}

/* The text of the first frame and what follows it; null: not whole yet. */
function readFrame(bytes) {
  let length = bytes.length > 1 ? bytes[1] & 127 : 0, at = 2;
  if (length === 126) {
    if (bytes.length < 4) return null;
    length = bytes.readUInt16BE(2);
    at = 4;
  }
  if (bytes.length < at + 4 + length) return null;
  const mask = bytes.subarray(at, at + 4), body = Buffer.from(bytes.subarray(at + 4, at + 4 + length));
  for (let i = 0; i < length; i++) body[i] ^= mask[i & 3];
  return { isText: (bytes[0] & 15) === 1, text: body.toString(), rest: bytes.subarray(at + 4 + length) };
}

exports.upgrade = (port) => (request, socket) => {
  const accept = crypto.createHash("sha1")
    .update(request.headers["sec-websocket-key"] + WEBSOCKET_GUID).digest("base64");
  const protocol = request.headers["sec-websocket-protocol"];
  let bytes = Buffer.alloc(0);
  socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    (protocol ? `Sec-WebSocket-Protocol: ${protocol}\r\n` : "") +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket)).on("error", () => {});
  socket.on("data", (piece) => {
    bytes = Buffer.concat([bytes, piece]);
    for (let frame; (frame = readFrame(bytes)) !== null; bytes = frame.rest) {
      if (frame.isText) onMessage(socket, port, JSON.parse(frame.text));
    }
  });
};

/* Passes a message on to the browser. */
exports.push = (id, encoding, body) => {
  for (const socket of sockets) {
    send(socket, { messageType: "notification", channelID: id, version: crypto.randomUUID(), ttl: 60,
      data: body.toString("base64url"), headers: { encoding } });
  }
};

/* The page and what belongs to it; false: not one of these paths. */
exports.serve = (request, response, body) => {
  const path = request.url.split("?")[0];
  const texts = { "/page": ["text/html", page], "/worker.js": ["text/javascript", worker],
    "/said": ["application/json", JSON.stringify(said)] };
  if (path === "/say") {
    Object.assign(said, JSON.parse(body));
    response.end();
  } else if (path === "/ready") {
    response.writeHead(sockets.size > 0 && Date.now() - helloAt > SETTLED ? 200 : 503);
    response.end();
  } else if (path in texts) {
    response.writeHead(200, { "content-type": texts[path][0] });
    response.end(texts[path][1]);
  } else {
    return false;
  }
  return true;
};
