"""The dashboard in a real browser, with the service and with one that only tells figures."""

import functools
import http.server
import json
import math
import os
import threading
import time
import unittest
import urllib.parse

from selenium.webdriver.common.keys import Keys

from stand import SOURCE, URL, presencectl, wait_until
from test_pages import AXE, LOOKS, Page

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
    """
    A service that only tells figures, whatever really goes on. On a port of its own, until close().
    `say(second)` gives (event, data) and may be replaced.
    """

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


class Board(Page):
    def enter(self, token=TOKEN):
        self.page.find("#token").send_keys(token, Keys.ENTER)

    def wait_state(self, state):
        wait_until(f"the page is {state}", lambda: self.page.run(
            "return document.getElementById('connection').dataset.state") == state)

    def tile(self, key, part="value"):
        return self.page.text(f'[data-tile="{key}"] .{part}')

    def rows(self, table):
        """Of each row: the texts of its cells, and whether somebody should look at it."""
        return self.page.run("""
            return [...document.querySelectorAll(`#${arguments[0]} tr`)].map((row) =>
              [[...row.children].map((cell) => cell.innerText), row.className === "bad"]);""", table)

    def alert(self):
        try:
            return self.driver.switch_to.alert
        except Exception:  # there is none yet
            return None


class Service(Board):
    def test_the_services_own_figures(self):
        people = self.open()
        people.start()
        self.page.load(URL + "/dashboard.html")
        self.enter(presencectl("token", "1", "--scope", "admin").strip())
        self.wait_state("live")
        wait_until("both people are counted", lambda: self.tile("dash.streams") == "2"
                   and self.tile("dash.online") == "2")
        rows = self.rows("processes")
        self.assertEqual([[cells[1], *cells[3:]] for cells, _ in rows if "streamd/" in cells[0]],
                         [["2", "reached", "1 settled"]])
        people.second.choose("busy")
        wait_until("the call and its time are shown", lambda: any(
            cells[0] == "PUT /presence/status" and " ms" in cells[2]
            for cells, _ in self.rows("requests")))
        wait_until("so is how long the change took", lambda: " ms" in self.tile("dash.delivery"))

    def test_one_user_and_the_end_of_the_sessions(self):
        self.open().start()
        self.page.load(URL + "/dashboard.html")
        self.enter(presencectl("token", "1", "--scope", "admin").strip())
        self.wait_state("live")
        self.page.find("[name=id]").send_keys("2")
        self.page.find("[name=viewer]").send_keys("1", Keys.ENTER)
        wait_until("the user is shown", lambda: self.page.text("#conclusion"))
        self.assertIn("1 sees 2 online, because 2 sessions of 2 are alive", self.page.text("#conclusion"))
        self.assertEqual(sorted(cells[0] for cells, _ in self.rows("sessions")), ["Stream", "Token"])
        self.page.find("#kick").click()
        wait_until("a question", lambda: self.alert()).accept()
        wait_until("no session is left", lambda: self.page.text("#sessions-none"))
        self.assertEqual(self.page.text("#user-notice"), "All sessions of 2 have ended.")
        self.assertIn("1 sees 2 offline", self.page.text("#conclusion"))

    def test_a_token_of_a_user(self):
        self.page.load(URL + "/dashboard.html")
        self.enter(presencectl("token", "1").strip())
        wait_until("it is told", lambda: self.page.text("#entry-notice")
                   == "This token lacks the scope admin.")


class Dashboard(Board):
    def setUp(self):
        super().setUp()
        self.service = Figures()
        self.addCleanup(self.service.close)
        self.page.load(self.service.url + "/dashboard.html")

    def open(self):
        self.enter()
        self.wait_state("live")
        wait_until("figures of two minutes", lambda: self.tile("dash.deliveries") not in ("", "0"))

    def test_figures_rates_and_quantiles(self):
        self.open()
        self.assertRegex(self.tile("dash.streams"), r"^6,[01]\d\d$")
        self.assertEqual(self.tile("dash.streams", "note"), "of 20,000 at most")
        self.assertRegex(self.tile("dash.online"), r"^5,[12]\d\d$")
        self.assertRegex(self.tile("dash.changes"), r"^\d{1,2}(\.\d)?$")
        self.assertRegex(self.tile("dash.deliveries"), r"^[2-6]\d\d$")
        # Half of them took at most 0.1 ms, 99 in 100 at most 0.5 ms.
        self.assertEqual(self.tile("dash.delivery"), "0.1 ms")
        self.assertEqual(self.tile("dash.delivery", "note"), "p99 0.5 ms, last minute")
        self.assertEqual([self.tile(key) for key in ("dash.resyncs", "dash.drops", "dash.ghosts")],
                         ["31", "14", "2"])
        self.assertEqual(self.tile("dash.drops", "note"), "0 in the last minute")
        before = self.page.run("return document.querySelector('.chart .line').getAttribute('d')")
        self.assertGreater(before.count("L"), 100)
        wait_until("the chart moves on", lambda: before != self.page.run(
            "return document.querySelector('.chart .line').getAttribute('d')"))

    def test_processes_and_requests(self):
        self.open()
        rows = self.rows("processes")
        self.assertRegex(rows[1][0].pop(1), r"^3,1\d\d$")
        self.assertEqual(rows, [
            [["pushd/web1/815", "\u2013", "\u2013", "reached", "\u2013"], False],
            [[STREAMD[0], "3,121", "reached", "16 settled"], False],
            [[STREAMD[1], "2,980", "2,981", "reached", "16 settled"], False]])
        routes = {cells[0]: cells[1:] for cells, _ in self.rows("requests")}
        self.assertEqual(routes["GET /friends/list"][:2], ["12", "2.47 ms"])
        self.assertIn("2xx:", routes["POST /auth/login/json"][2])
        self.service.say = lambda second: ("figures", event(second, redis_up=0))
        wait_until("a server of Redis is lost", lambda: self.rows("processes")[2] == [
            [STREAMD[1], "2,980", "2,981", "not reached: 1", "8 away, 8 settled"], True])

    def test_one_user_and_the_end_of_the_sessions(self):
        self.open()
        self.page.find("[name=id]").send_keys("3")
        self.page.find("[name=viewer]").send_keys("2", Keys.ENTER)
        wait_until("the user is shown", lambda: self.page.text("#conclusion"))
        self.assertIn("because that is chosen", self.page.text("#conclusion"))
        self.assertIn("In a meeting", self.page.text("#facts"))
        self.assertEqual([cells[0] for cells, _ in self.rows("sessions")], ["Stream", "Token"])
        self.page.find("#kick").click()
        question = wait_until("a question", lambda: self.alert())
        self.assertIn("End all sessions of 3?", question.text)
        question.accept()
        wait_until("no session is left", lambda: self.page.text("#sessions-none"))
        self.assertEqual(self.page.text("#user-notice"), "All sessions of 3 have ended.")

    def test_what_is_no_user(self):
        self.open()
        self.page.find("[name=id]").send_keys("?", Keys.ENTER)
        wait_until("it is told", lambda: self.page.text("#user-notice") == "This is not a user id.")

    def test_a_token_without_the_scope(self):
        self.enter("another")
        wait_until("it is told", lambda: self.page.text("#entry-notice")
                   == "This token lacks the scope admin.")
        self.assertEqual(self.focus(), "token")

    def test_figures_that_stand_still_say_so(self):
        self.open()
        self.service.say = lambda second: ("degraded", {"reason": "redis_unavailable"})
        self.wait_state("degraded")
        self.assertEqual(self.page.text("#connection"), "Redis is away")
        self.assertEqual(self.page.run("return document.getElementById('board').dataset.stale"),
                         "true")
        self.service.cut.set()
        wait_until("why is told", lambda: "Trying again in" in (self.page.text("#notice") or ""))
        self.service.cut.clear()
        self.service.say = lambda second: ("figures", event(second))
        self.wait_state("live")
        self.assertIsNone(self.page.text("#notice"))

    def test_a_reload_stays_and_leaving_forgets_the_token(self):
        self.open()
        self.page.load(self.service.url + "/dashboard.html")
        self.wait_state("live")
        self.page.find("#leave").click()
        wait_until("the form", lambda: self.page.text("#entry"))
        self.assertEqual(self.page.run("return sessionStorage.length"), 0)

    @unittest.skipUnless(os.path.exists(AXE), "npm's tools are missing: ./bootstrap --tests")
    def test_axe_finds_nothing(self):
        self.assert_axe_is_silent("the token's form")
        self.open()
        self.service.say = lambda second: ("figures", event(second, redis_up=second % 2))
        self.page.find("[name=id]").send_keys("3", Keys.ENTER)
        wait_until("the user is shown", lambda: self.page.text("#conclusion"))
        for name in LOOKS:
            self.look(name)
            self.assert_axe_is_silent(name)

    def test_it_fits_a_phone(self):
        self.open()
        self.page.find("[name=id]").send_keys("3", Keys.ENTER)
        wait_until("the user is shown", lambda: self.page.text("#conclusion"))
        for width in (320, 390, 1280):
            self.resize(width)
            self.assertLessEqual(self.page.run("return document.documentElement.scrollWidth"), width)
            self.assertLess(self.page.run(
                "return Math.max(...[...document.querySelectorAll('th')].map((cell) => cell.offsetHeight))"),
                60, "a heading of a table is broken between its letters")

    def test_the_keyboard_alone(self):
        self.tab_to("#token")
        self.press(TOKEN, Keys.ENTER)
        self.wait_state("live")
        self.tab_to("[name=id]")
        self.press("3", Keys.ENTER)
        wait_until("the user is shown", lambda: self.page.text("#conclusion"))
        self.tab_to("#kick")
        self.press(Keys.ENTER)
        wait_until("a question", lambda: self.alert()).dismiss()
        self.tab_to("#leave")
        self.press(Keys.ENTER)
        wait_until("the form", lambda: self.page.text("#entry"))

    def test_in_korean(self):
        self.open()
        self.page.find("[data-language=ko]").click()
        self.assertEqual(self.page.text("#board-title"), "서비스 상태")
        self.assertEqual(self.page.text("#connection"), "실시간")
        self.assertEqual(self.tile("dash.drops", "note"), "최근 1분에 0건")


if __name__ == "__main__":
    unittest.main()
