"""A service that only tells figures: what the dashboard is tried with, whatever really goes on."""

import functools
import http.server
import json
import math
import os
import threading
import time
import urllib.parse

from stand import SOURCE

TOKEN = "admin-token"
START_MS = 1795000000000
STREAMD = ("streamd/web1/812", "streamd/web2/790")


def event(second, redis_up=1):
    """The `figures` event of a second, with a wave in it; see docs/api.md."""
    deliveries = sum(420 + 160 * math.sin(i / 9) + 60 * math.sin(i / 2.3) for i in range(second))
    changes = sum(21 + 7 * math.sin(i / 9) + 3 * math.sin(i / 1.7) for i in range(second))
    return {
        "time": "2026-11-24T10:30:00Z", "ms": START_MS + 1000 * second, "version": "0.3.0",
        "figures": {
            "online_users": 5204 + round(40 * math.sin(second / 20)),
            "transitions_total": {"login": round(changes / 2), "stream_closed": round(changes / 2)},
            "ghosts_repaired_total": 2,
            "streams": {STREAMD[0]: 3120 + round(20 * math.sin(second / 15)), STREAMD[1]: 2980},
            "streams_max": {STREAMD[0]: 10000, STREAMD[1]: 10000},
            "connections": {STREAMD[0]: 3121, STREAMD[1]: 2981},
            "deliveries_total": round(deliveries),
            "deliveries_dropped_total": 14,
            "resyncs_total": 31,
            "redis_up": {STREAMD[0]: {"0": 1, "1": 1}, STREAMD[1]: {"0": 1, "1": redis_up},
                         "pushd/web1/815": {"0": 1, "1": 1}},
            "partitions": {STREAMD[0]: {"away": 0, "unsettled": 0, "settled": 16},
                           STREAMD[1]: {"away": 0 if redis_up else 8, "unsettled": 0,
                                        "settled": 16 if redis_up else 8}},
            "delivery_seconds": {"count": round(100 * second), "sum": 0.01 * second, "buckets": [
                [0.00005, 10 * second], [0.0001, 50 * second], [0.00025, 90 * second],
                [0.0005, 99 * second], [0.001, 100 * second]]},
            "http_requests_total": {
                "POST /online-status/heartbeat": {"2xx": round(300 * second + 60 * math.sin(second / 5)), "4xx": 3},
                "GET /friends/list": {"2xx": 12 * second, "4xx": 2},
                "POST /auth/login/json": {"2xx": 4 * second, "4xx": second // 8},
                "PUT /presence/status": {"2xx": second, "5xx": 1}},
            "http_request_seconds": {"GET /friends/list": {"count": 10 * second, "sum": 0.1, "buckets": [
                [0.001, 5 * second], [0.0025, 10 * second]]}},
        }}


def user(user_id, sessions):
    return {
        "viewer": 2, "user_id": user_id, "is_friend": True, "visibility": "everyone", "blocks": False,
        "blocked_by": False,
        "status": {"user_id": user_id, "is_online": True, "status": "meeting", "text": "Room 4",
                   "version": 2969000000007},
        "sees": {"user_id": user_id, "is_online": True, "status": "meeting", "text": "Room 4",
                 "version": 2969000000007},
        "sessions": sessions, "in_online_users": True, "deadline_in_ms": 81000,
        "conclusion": f"2 sees {user_id} meeting, because that is chosen and {len(sessions)} sessions "
                      f"of {user_id} are alive, the last one for 1 min 21 s.",
    }


SESSIONS = [
    {"kind": "stream", "tok": "f1c09a7d3be25c14", "stream": "8Qz1", "closing": False,
     "expires_in_ms": 81000},
    {"kind": "token", "tok": "f1c09a7d3be25c14", "closing": False, "expires_in_ms": 274000},
]


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status < 400
                         else "application/problem+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def is_refused(self):
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return False
        self.answer(403, {"type": "about:blank", "title": "The scope is missing", "status": 403,
                          "code": "scope_missing"})
        return True

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if not path.startswith("/api/"):
            super().do_GET()
        elif self.is_refused():
            pass
        elif path == "/api/presence/stream/admin":
            self.stream()
        elif path == "/api/admin/user/3":
            self.answer(200, user(3, self.server.sessions))
        else:
            self.answer(400, {"type": "about:blank", "title": "Not a user id", "status": 400,
                              "code": "bad_id"})

    def do_POST(self):
        if self.is_refused():
            return
        self.server.sessions = []
        self.answer(200, {"ok": True})

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            for second in range(1, 10 ** 6):
                name, data = self.server.say(second)
                self.wfile.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
                self.wfile.flush()
                if self.server.cut.is_set():
                    return
                # The past at once, and then a second in a tenth of one.
                if second > self.server.past:
                    time.sleep(0.1)
        except OSError:
            pass  # the page has gone


class Figures(http.server.ThreadingHTTPServer):
    """On a port of its own, until close(). `say(second)` gives (event, data) and may be replaced."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), functools.partial(
            Handler, directory=os.path.join(SOURCE, "src/web")))
        self.url = f"http://localhost:{self.server_port}"
        self.past = 125
        self.cut = threading.Event()
        self.sessions = SESSIONS
        self.say = lambda second: ("figures", event(second))
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.cut.set()
        self.shutdown()
        self.server_close()
