"""The showcase in a real browser: two people, one window, one stack (stand.py).

What they see of each other, and of a service that has trouble.
"""

import itertools
import json
import os
import re
import shutil
import signal
import tempfile
import time
import unittest
import urllib.request

from showcase import Case, Window
from stand import (DEADLINE, DIR, GRACE, SWEEP, URL, PlainCgi, presencectl, redis_cli, start_browser,
                   version_of, wait_until)

POLL_MS = 1000  # for the page where there are no streams
BOB = "3"


class People(Case):
    """Alice on the left, Bob on the right."""

    def setUp(self):
        super().setUp()
        self.page.start()
        self.alice, self.bob = self.page.first, self.page.second
        self.sees(self.alice, "Bob", "Online")
        self.sees(self.bob, "Alice", "Online")

    def sees(self, side, name, words, is_online=True):
        wait_until(f"{name} is shown as {words}", lambda: side.friend(name) == [is_online, words])

    def logged(self, by, what):
        """The newest row of the log with these words."""
        rows = wait_until(f"the log says that {by} saw {what}", lambda: [
            row for row in self.page.log() if row[:2] == [by, what]])
        return rows[0]


class Changes(People):
    def test_a_change_is_seen_on_the_other_side_with_reason_version_and_latency(self):
        self.bob.choose("busy")
        self.sees(self.alice, "Bob", "Busy")
        _, _, reason, version, after = self.logged("Alice", "Bob: Busy")
        self.assertEqual((reason, version), ("status", str(version_of(BOB))))
        self.assertRegex(after, r"^\d+(\.\d)? ms$")
        self.assertRegex(self.page.text("#latency"), r"^\d+(\.\d)? ms$")
        self.assertEqual(self.page.text("#online"), "2")
        self.assertEqual(self.page.run("return document.getElementById('news').textContent"),
                         "Bob: Busy")

    def test_a_logout_is_seen(self):
        self.bob.click(".log-out")
        wait_until("the login form", lambda: self.bob.text(".with-password"))
        self.assertIsNone(self.bob.text(".notice"), "logging out oneself is no news")
        last_seen = wait_until("Bob is offline", lambda: (
            not self.alice.friend("Bob")[0] and self.alice.friend("Bob")[1]))
        self.assertRegex(last_seen, r"^Last seen (now|\d0 seconds ago)$")
        self.assertEqual(self.logged("Alice", "Bob: Offline")[2], "logout")
        wait_until("it ages", lambda: "10 seconds ago" in self.alice.friend("Bob")[1])
        self.bob.log_in("bob")
        self.sees(self.alice, "Bob", "Online")
        # Checking a password takes its time, which is not the change's.
        _, _, reason, _, after = self.logged("Alice", "Bob: Online")
        self.assertEqual((reason, after), ("login", "–"))

    def test_states_with_text_and_emoji(self):
        self.bob.choose("meeting", "Room 4 <b>", "\u2615")
        self.sees(self.alice, "Bob", "In a meeting \xb7 \u2615 Room 4 <b>")
        self.assertEqual(self.bob.text(".my-state"), "In a meeting \xb7 \u2615 Room 4 <b>")
        self.bob.choose("invisible")
        wait_until("Bob looks offline", lambda: not self.alice.friend("Bob")[0])
        self.assertIn("Invisible", self.bob.text(".my-state"))
        self.bob.choose("")
        self.sees(self.alice, "Bob", "Online")
        pressed = self.page.run("""
            return [...document.querySelectorAll("#second .states [aria-pressed=true]")]
              .map((button) => button.innerText);""")
        self.assertEqual(pressed, ["Automatic"])
        for _ in range(3):
            self.bob.choose("dnd")
        wait_until("the sixth in 30 seconds is refused, in words for a visitor",
                   lambda: "a lot at once" in (self.bob.text(".refused") or ""))

    def test_typing(self):
        self.bob.find(".message").send_keys("hello")
        self.sees(self.alice, "Bob", "Typing\u2026")
        self.assertEqual(self.logged("Alice", "Bob types")[2], "typing")
        self.alice.find(".message").click()  # Bob's field is left
        self.sees(self.alice, "Bob", "Online")
        self.assertEqual(self.bob.text(".message"), "", "the text was kept")

    def test_stepping_away_and_coming_back(self):
        self.bob.click(".step-away")
        self.sees(self.alice, "Bob", "Away")
        self.assertEqual(self.logged("Alice", "Bob: Away")[2], "idle")
        self.bob.click(".step-away")
        self.sees(self.alice, "Bob", "Online")
        self.assertEqual(self.logged("Alice", "Bob: Online")[2], "active")

    def test_blocks(self):
        self.bob.press_of("alice")
        self.sees(self.alice, "Bob", "Never seen", False)
        self.sees(self.bob, "Alice", "Never seen", False)
        self.bob.press_of("alice")
        self.sees(self.alice, "Bob", "Online")

    def test_who_is_near_at_pretended_places(self):
        for side in (self.alice, self.bob):
            self.assertFalse(side.find("[name=place]").is_enabled())
            side.select("nearby", True)
            wait_until("a place can be shared", side.find("[name=place]").is_enabled)
        self.alice.select("place", "seoul")
        self.bob.select("place", "namdaemun")
        self.sees(self.alice, "Bob", "Online Nearby")
        self.sees(self.bob, "Alice", "Online Nearby")
        self.assertEqual(self.logged("Alice", "Bob is near")[2], "nearby")
        self.bob.select("nearby", False)
        self.sees(self.alice, "Bob", "Online")

    def test_what_others_learn_of_the_last_visit(self):
        self.bob.select("last_seen", "nobody")
        wait_until("it is kept", lambda: "nobody" in redis_cli("GET", "user:settings:" + BOB))
        self.bob.click(".log-out")
        self.sees(self.alice, "Bob", "Never seen", False)

    def test_a_window_that_closes_is_seen_after_the_grace(self):
        carol = self.open()
        carol.first.log_in("carol")
        self.sees(self.alice, "Carol", "Online")
        # Were it the token's own lifetime that ended Carol, it would take five minutes.
        carol.close()
        closed = time.monotonic()
        wait_until("Carol is offline", lambda: not self.alice.friend("Carol")[0])
        took = time.monotonic() - closed
        self.assertGreater(took, GRACE - 0.5, "offline before the grace had passed")
        self.assertLess(took, GRACE + 2 * SWEEP + 5)

    def test_a_reload_is_not_seen(self):
        window = self.open()
        window.first.log_in("carol")
        self.sees(self.alice, "Carol", "Online")
        version = version_of("4")
        window.run("window.old = true; location.reload()")
        wait_until("Carol's page is live again, without a login",
                   lambda: window.run("return window.old") is None and window.first.state() == "live")
        end = time.monotonic() + GRACE + 2 * SWEEP + 1
        while time.monotonic() < end:  # nothing may happen: there is no condition to wait for
            self.assertEqual(self.alice.friend("Carol"), [True, "Online"])
            time.sleep(0.1)
        self.assertEqual(version_of("4"), version, "a transition happened")

    def test_a_revoked_token_says_so(self):
        presencectl("kick", BOB)
        wait_until("Bob is told", lambda: "ended elsewhere" in (self.bob.text(".notice") or ""))
        self.assertEqual(self.alice.state(), "live")


class Trouble(People):
    """What a visitor is told when something does not work, and what is shown meanwhile."""

    def colours_of(self, selector):
        """Whatever of these elements has a colour."""
        return self.page.run("""
            return [...document.querySelectorAll(arguments[0])].flatMap((element) => {
              const {color, backgroundColor, borderTopColor} = getComputedStyle(element);
              return [color, backgroundColor, borderTopColor];
            }).map((colour) => colour.match(/[\\d.]+/g).map(Number));""", selector)

    def assert_nothing_is_green(self):
        for selector in ("#first .connection", "#first .friends .dot", "#first .friends .sub",
                         "#first .me .dot"):
            for red, green, blue, *alpha in self.colours_of(selector):
                is_green = green > 1.25 * red and green > 1.25 * blue and alpha != [0]
                self.assertFalse(is_green, f"{selector} is green: {red}, {green}, {blue}")

    def test_streamd_killed_and_restarted(self):
        self.streamd.kill()
        wait_until("the page notices", lambda: self.alice.state() == "connecting")
        self.assert_nothing_is_green()
        wait_until("why is told, and what happens next",
                   lambda: "Trying again in" in (self.alice.text(".problem") or ""))
        # Refused at least once: such an EventSource is closed for good, and a new one is needed.
        wait_until("a refused stream", lambda: any(
            re.search(r"/api/presence/stream.*503", entry["message"])
            for entry in self.driver.get_log("browser")))
        # Who comes now sees at least whom to wait for.
        carol = self.open()
        carol.first.submit("carol@example.com")
        wait_until("names while connecting",
                   lambda: carol.first.friend("Alice") == [False, "Not known yet"])
        self.assertNotEqual(carol.first.state(), "live")
        self.streamd.start()
        wait_until("the page is live again", lambda: self.alice.state() == "live", 60)
        self.assertIsNone(self.alice.text(".problem"))
        self.sees(self.alice, "Carol", "Online")
        self.assert_no_token_in_logs()

    def test_a_silent_stream_is_noticed(self):
        """No connection breaks when a process stands still: only heartbeats are missing."""
        self.streamd.process.send_signal(signal.SIGSTOP)
        try:
            wait_until("the page notices", lambda: self.alice.state() == "connecting")
        finally:
            self.streamd.process.send_signal(signal.SIGCONT)
        wait_until("the page is live again", lambda: self.alice.state() == "live", 60)

    def test_redis_that_is_away(self):
        redis = int(re.search(r"process_id:(\d+)", redis_cli("INFO", "server")).group(1))
        os.kill(redis, signal.SIGSTOP)
        try:
            wait_until("the page notices", lambda: self.alice.state() == "degraded")
            self.assertEqual(self.alice.text(".connection"), "May be out of date")
            self.assert_nothing_is_green()
            self.bob.choose("busy")
            said = wait_until("Bob is told", lambda: self.bob.text(".refused"))
            self.assertEqual(said, "The service cannot do this right now. Please try again in a moment.")
        finally:
            os.kill(redis, signal.SIGCONT)
        wait_until("the page is live again", lambda: self.alice.state() == "live", 60)

    def test_a_token_revoked_meanwhile_says_so(self):
        """Logged out everywhere while streamd is down: only a refused request can tell."""
        self.streamd.kill()
        try:
            request = urllib.request.Request(
                URL + "/api/auth/logout?all=true", method="POST",
                headers={"Authorization": "Bearer " + self.bob.token()})
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                self.assertEqual(json.load(answer), {"ok": True})
        finally:
            self.streamd.start()
        wait_until("Bob is told", lambda: "ended elsewhere" in (self.bob.text(".notice") or ""), 60)
        wait_until("Alice is live again", lambda: self.alice.state() == "live", 60)
        wait_until("Bob is offline", lambda: not self.alice.friend("Bob")[0])

    def test_too_many_streams_are_no_empty_page(self):
        token = presencectl("token", "4").strip()
        streams = []
        for _ in range(10):
            request = urllib.request.Request(URL + "/api/presence/stream",
                                             headers={"Authorization": "Bearer " + token})
            streams.append(urllib.request.urlopen(request, timeout=DEADLINE))
        self.addCleanup(lambda: [stream.close() for stream in streams])
        carol = self.open()
        carol.first.submit("carol@example.com")
        said = wait_until("Carol is told", lambda: carol.first.text(".problem"))
        self.assertIn("too many windows", said)
        self.assertIn("Trying again in", said)
        self.assertEqual(carol.first.friend("Alice"), [False, "Not known yet"])


class Login(Case):
    def test_a_wrong_password(self):
        self.page.first.submit("alice@example.com", "wrong")
        wait_until("a notice", lambda: self.page.first.text(".notice") == "E-mail or password is wrong.")

    def test_a_token_does_in_place_of_an_account(self):
        self.page.first.click("summary")
        self.page.first.fill("[name=token]", presencectl("token", "4").strip())
        self.page.first.click(".with-token button")
        self.page.first.wait_live("carol")

    def test_what_is_no_token(self):
        self.page.first.click("summary")
        self.page.first.fill("[name=token]", "none")
        self.page.first.click(".with-token button")
        wait_until("a notice", lambda: self.page.first.text(".notice") == "This token is not valid here.")


class Polling(unittest.TestCase):
    """Where there are no streams the page shows the same, some seconds later."""

    @classmethod
    def setUpClass(cls):
        cls.profile = tempfile.mkdtemp(prefix="chromium.", dir=os.path.dirname(DIR))
        cls.addClassCleanup(shutil.rmtree, cls.profile, ignore_errors=True)
        cls.site = PlainCgi()
        cls.site.start()
        cls.url = f"{cls.site.URL}/?poll={POLL_MS}"
        cls.addClassCleanup(cls.site.stop)
        cls.driver = start_browser(cls.profile)
        cls.addClassCleanup(cls.driver.quit)

    def log_in(self, user, first=False):
        side = Window(self.driver, self.url, first).first
        side.log_in(user)
        return side

    def polls(self, side):
        """[status, when asked, when answered (ms)] of each time the page asked for the states."""
        return side.window.run("""
            return performance.getEntriesByType("resource")
              .filter((entry) => entry.name.endsWith("/api/online-status/friends"))
              .map((entry) => [entry.responseStatus, entry.startTime, entry.responseEnd]);""")

    def test_friends_are_seen_without_streams(self):
        alice = self.log_in("alice", first=True)
        self.assertEqual(alice.text(".connection"), "Asking now and then")
        self.assertEqual(alice.friend("Bob")[0], False)
        self.assertTrue(any(re.search(r"/api/presence/stream.*501", entry["message"])
                            for entry in self.driver.get_log("browser")),
                        "the stream was answered otherwise than by 501")

        bob = self.log_in("bob")
        wait_until("Bob is shown online", lambda: alice.friend("Bob") == [True, "Online"])
        self.assertEqual("Bob: Online",
                         alice.window.run("return document.getElementById('news').textContent"))
        bob.click(".log-out")
        wait_until("Bob is shown offline", lambda: not alice.friend("Bob")[0])

        self.site.stop()
        wait_until("the page notices", lambda: alice.state() == "connecting")
        self.site.start()
        wait_until("the page is live again", lambda: alice.state() == "polling")
        gaps = [later[1] - earlier[1]
                for earlier, later in itertools.pairwise(self.polls(alice))]
        self.assertGreater(min(gaps), 0.75 * POLL_MS, "asked more often than it may")

        presencectl("kick", "2")
        wait_until("Alice is told", lambda: "ended elsewhere" in (alice.text(".notice") or ""))

    def test_a_hidden_page_asks_less_often(self):
        alice = self.log_in("alice", first=True)
        self.driver.minimize_window()
        wait_until("the page is hidden", lambda: alice.window.run("return document.hidden"))
        seen = len(self.polls(alice))
        wait_until("two more polls", lambda: len(self.polls(alice)) >= seen + 2)
        (_, first, _), (_, second, _) = self.polls(alice)[seen:seen + 2]
        self.assertGreater(second - first, 3 * POLL_MS, "as often as a page that is seen")
        shown = time.monotonic()
        self.driver.set_window_rect(0, 0, 900, 800)
        wait_until("the page is seen", lambda: not alice.window.run("return document.hidden"))
        wait_until("a poll", lambda: len(self.polls(alice)) > seen + 2)
        self.assertLess(time.monotonic() - shown, 3 * POLL_MS / 1000)
        alice.window.run("sessionStorage.clear()")

    def test_retry_after_is_respected(self):
        alice = self.log_in("alice", first=True)
        redis_cli("CLIENT", "PAUSE", "3000", "ALL")
        wait_until("the page notices", lambda: alice.state() == "degraded")
        wait_until("the page is live again", lambda: alice.state() == "polling")
        polls = self.polls(alice)
        after_503 = [later[1] - earlier[2] for earlier, later in itertools.pairwise(polls)
                     if earlier[0] == 503]
        self.assertTrue(after_503, f"there was no 503: {polls}")
        self.assertGreaterEqual(min(after_503), 1900, "Retry-After: 2 was not waited for")
        alice.window.run("sessionStorage.clear()")


if __name__ == "__main__":
    unittest.main()
