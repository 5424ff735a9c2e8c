"""The demo page in a real browser: two windows, two users, one stack (stand.py).

SCREENSHOTS=DIR keeps pictures of the page.
"""

import glob
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.request

from stand import (BUILD, DEADLINE, DIR, GRACE, SWEEP, URL, PlainCgi, Streamd, presencectl,
                   start_browser, version_of, wait_until)

POLL_MS = 1000  # for the page where there are no streams


class Window:
    """One browser window with the demo page: one user."""

    def __init__(self, driver, first=False, url=URL + "/"):
        self.driver = driver
        if not first:
            driver.switch_to.new_window("window")
        self.handle = driver.current_window_handle
        driver.get(url)

    def run(self, script, *args):
        self.driver.switch_to.window(self.handle)
        return self.driver.execute_script(script, *args)

    def text(self, selector):
        """What is visible there, or None."""
        return self.run("""
            const element = document.querySelector(arguments[0]);
            return element?.checkVisibility() ? element.innerText : null;""", selector)

    def click(self, selector):
        self.driver.switch_to.window(self.handle)
        self.driver.find_element("css selector", selector).click()

    def fill(self, selector, text):
        self.driver.switch_to.window(self.handle)
        field = self.driver.find_element("css selector", selector)
        field.clear()
        field.send_keys(text)

    def friend(self, name):
        """(is online, the line below the name) or None."""
        return self.run("""
            for (const row of document.querySelectorAll(".friend")) {
              if (row.querySelector(".name").innerText === arguments[0]) {
                return [row.dataset.online === "true", row.querySelector(".sub").innerText];
              }
            }
            return null;""", name)

    def state(self):
        return self.run("return document.getElementById('connection').dataset.state")

    def token(self):
        return self.run("return JSON.parse(sessionStorage.getItem('presence-demo')).token")

    def log_in(self, user):
        wait_until("the login form", lambda: self.text("#login"))
        self.fill("#email", user + "@example.com")
        self.fill("#password", "password")
        self.click("#login button")
        wait_until(f"{user}'s page is live", lambda: self.state() in ("live", "polling"))
        wait_until("names instead of ids", lambda: self.friend("Dave" if user != "dave" else "Bob"))

    def close(self):
        self.driver.switch_to.window(self.handle)
        self.driver.close()


class DemoPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.profile = tempfile.mkdtemp(prefix="chromium.", dir=os.path.dirname(DIR))
        cls.addClassCleanup(shutil.rmtree, cls.profile, ignore_errors=True)
        cls.streamd = Streamd()
        cls.streamd.start()
        cls.addClassCleanup(cls.streamd.stop)
        cls.driver = start_browser(cls.profile)
        cls.addClassCleanup(cls.driver.quit)
        cls.first_handle = cls.driver.current_window_handle

    def setUp(self):
        """Alice looks on, logged in, in the first window."""
        self.driver.switch_to.window(self.first_handle)
        self.alice = Window(self.driver, first=True)
        self.alice.log_in("alice")
        self.others = []
        self.addCleanup(self.close_windows)

    def close_windows(self):
        for window in self.others:
            if window.handle in self.driver.window_handles:
                window.close()
        self.alice.run("sessionStorage.clear()")
        # The next test starts with everybody offline, and nothing chosen.
        for user in ("1", "2", "3", "4", "5"):
            presencectl("kick", user)
            subprocess.run(["redis-cli", "-s", os.path.join(DIR, "redis.sock"), "DEL",
                            "user:chosen:" + user, "user:settings:" + user,
                            "presence:rate:status:" + user],
                           check=True, capture_output=True, timeout=DEADLINE)

    def open(self, user):
        window = Window(self.driver)
        self.others.append(window)
        window.log_in(user)
        return window

    def wait_online(self, name):
        wait_until(f"{name} is shown online",
                   lambda: self.alice.friend(name) == [True, "Online"])

    def wait_offline(self, name, deadline=DEADLINE):
        def seen():
            row = self.alice.friend(name)
            return row is not None and not row[0] and row[1]

        return wait_until(f"{name} is shown offline", seen, deadline)

    def assert_no_token_in_logs(self):
        for name in glob.glob(os.path.join(DIR, "*.log")):
            with open(name, encoding="utf-8", errors="replace") as log:
                self.assertNotIn("eyJ", log.read(), f"{name} has a token")

    def shoot(self, window, name):
        if "SCREENSHOTS" in os.environ:
            window.driver.switch_to.window(window.handle)
            window.driver.save_screenshot(os.path.join(os.environ["SCREENSHOTS"], name + ".png"))

    def choose(self, window, status, text="", emoji=""):
        window.run("document.querySelector('.controls').open = true;")
        window.run("""
            const {status, text, emoji} = document.getElementById("state").elements;
            [status.value, text.value, emoji.value] = arguments;""", status, text, emoji)
        window.click("#state button")

    def test_states_are_chosen_and_seen(self):
        bob = self.open("bob")
        self.wait_online("Bob")
        self.choose(bob, "meeting", "Room 4 <b>", "\u2615")
        wait_until("Bob is in a meeting",
                   lambda: self.alice.friend("Bob") == [True, "In a meeting \xb7 \u2615 Room 4 <b>"])
        wait_until("Bob's own page says so",
                   lambda: bob.text("#my-state") == "In a meeting \xb7 \u2615 Room 4 <b>")
        self.choose(bob, "invisible")
        self.wait_offline("Bob")
        wait_until("Bob knows", lambda: bob.text("#my-state") == "Online \xb7 invisible")
        self.choose(bob, "")
        self.wait_online("Bob")
        for _ in range(3):
            self.choose(bob, "dnd")
        wait_until("the sixth within 30 seconds is refused, and why",
                   lambda: "5 times in 30 seconds" in (bob.text("#refused") or ""))

    def test_settings_idle_and_blocks(self):
        bob = self.open("bob")
        self.wait_online("Bob")
        bob.run("""
            const {idle, last_seen: seen} = document.getElementById("settings").elements;
            for (const [field, value] of [[seen, "nobody"], [idle, "3"]]) {
              field.value = value;
              field.dispatchEvent(new Event("change"));
            }""")
        wait_until("nobody is at Bob's page", lambda: self.alice.friend("Bob") == [True, "Away"])
        bob.run("dispatchEvent(new Event('pointermove'))")
        self.wait_online("Bob")
        bob.run("document.querySelector('.friend[data-id=\"2\"] .block').click()")
        wait_until("Alice is blocked", lambda: "Alice" in bob.run(
            "return document.getElementById('blocks').textContent"))
        wait_until("Bob looks never seen",
                   lambda: self.alice.friend("Bob") == [False, "Never seen"])
        wait_until("so does Alice", lambda: bob.friend("Alice") == [False, "Never seen"])
        bob.run("document.querySelector('#blocks button').click()")
        wait_until("Bob is back", lambda: (self.alice.friend("Bob") or [False])[0])

    def test_login_and_logout_are_seen(self):
        self.assertEqual(self.alice.text("#my-name"), "Alice")
        self.assertEqual(self.alice.friend("Bob")[0], False)
        self.assertEqual(self.alice.text("#friends-count"), "0 of 4 online")

        bob = self.open("bob")
        self.wait_online("Bob")
        self.assertEqual(self.alice.text("#friends-count"), "1 of 4 online")
        wait_until("two users online", lambda: self.alice.text("#count") == "2 users online")
        self.assertIn("Bob is online", self.alice.run(
            "return document.getElementById('news').textContent"))
        self.assertEqual(bob.friend("Alice"), [True, "Online"])
        self.shoot(self.alice, "friends")

        bob.click("#logout")
        wait_until("the login form", lambda: bob.text("#login"))
        self.assertIsNone(bob.text("#notice"), "logging out oneself is no news")
        last_seen = self.wait_offline("Bob")
        self.assertRegex(last_seen, r"^Last seen (now|\d0 seconds ago)$")
        self.shoot(bob, "login")

    def test_a_closed_window_is_seen_after_the_grace(self):
        bob = self.open("bob")
        self.wait_online("Bob")
        # Were it the token's own lifetime that ended Bob, it would take five minutes.
        bob.close()
        closed = time.monotonic()
        self.wait_offline("Bob")
        took = time.monotonic() - closed
        self.assertGreater(took, GRACE - 0.5, "offline before the grace had passed")
        self.assertLess(took, GRACE + 2 * SWEEP + 5)

    def test_a_reload_is_not_seen(self):
        bob = self.open("bob")
        self.wait_online("Bob")
        self.alice.run("""
            window.seen = [];
            new MutationObserver((list) => {
              for (const {target} of list) {
                if (target.querySelector(".name").textContent === "Bob") {
                  window.seen.push(target.dataset.online);
                }
              }
            }).observe(document.getElementById("friends"),
                       {subtree: true, attributes: true, attributeFilter: ["data-online"]});""")
        version = version_of("3")
        bob.run("window.old = true; location.reload()")
        wait_until("Bob's page is live again, without a login",
                   lambda: bob.run("return window.old") is None and bob.state() == "live")
        end = time.monotonic() + GRACE + 2 * SWEEP + 1
        while time.monotonic() < end:  # nothing may happen: there is no condition to wait for
            self.assertEqual(self.alice.friend("Bob"), [True, "Online"])
            time.sleep(0.1)
        self.assertNotIn("false", self.alice.run("return window.seen"))
        self.assertEqual(version_of("3"), version, "a transition happened")

    def test_wrong_password(self):
        window = Window(self.driver)
        self.others.append(window)
        wait_until("the login form", lambda: window.text("#login"))
        window.fill("#password", "wrong")
        window.click("#login button")
        wait_until("a notice", lambda: "wrong" in (window.text("#notice") or ""))

    def test_streamd_killed_and_restarted(self):
        self.open("bob")
        self.wait_online("Bob")
        self.streamd.kill()
        wait_until("the page notices", lambda: self.alice.state() == "connecting")
        self.shoot(self.alice, "connecting")
        # Refused at least once: such an EventSource is closed for good, and a new one is needed.
        wait_until("a refused stream", lambda: any(
            re.search(r"/api/presence/stream.*503", entry["message"])
            for entry in self.driver.get_log("browser")))
        self.streamd.start()
        wait_until("the page is live again", lambda: self.alice.state() == "live", 60)
        self.open("carol")
        self.wait_online("Carol")
        self.assert_no_token_in_logs()

    def test_a_silent_stream_is_noticed(self):
        """No connection breaks when a process stands still: only heartbeats are missing."""
        self.streamd.process.send_signal(signal.SIGSTOP)
        try:
            wait_until("the page notices", lambda: self.alice.state() == "connecting")
        finally:
            self.streamd.process.send_signal(signal.SIGCONT)
        wait_until("the page is live again", lambda: self.alice.state() == "live", 60)

    def test_a_revoked_token_says_so(self):
        bob = self.open("bob")
        self.wait_online("Bob")
        presencectl("kick", "3")
        wait_until("Bob is told", lambda: "ended elsewhere" in (bob.text("#notice") or ""))
        self.shoot(bob, "revoked")
        self.wait_offline("Bob", 5)

    def test_a_token_revoked_meanwhile_says_so(self):
        """Logged out everywhere while streamd is down: only a refused request can tell."""
        bob = self.open("bob")
        self.wait_online("Bob")
        self.streamd.kill()
        try:
            request = urllib.request.Request(
                URL + "/api/auth/logout?all=true", method="POST",
                headers={"Authorization": "Bearer " + bob.token()})
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                self.assertEqual(json.load(answer), {"ok": True})
        finally:
            self.streamd.start()
        wait_until("Bob is told", lambda: "ended elsewhere" in (bob.text("#notice") or ""), 60)
        wait_until("Alice is live again", lambda: self.alice.state() == "live", 60)
        self.wait_offline("Bob")

    def test_phone_and_dark(self):
        """The page fits a narrow window, and names what it shows."""
        self.driver.switch_to.window(self.alice.handle)
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": 360, "height": 700, "deviceScaleFactor": 2, "mobile": True})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
        self.addCleanup(self.driver.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})
        self.addCleanup(self.driver.execute_cdp_cmd, "Emulation.setEmulatedMedia", {"features": []})
        self.open("bob")
        self.wait_online("Bob")
        self.shoot(self.alice, "phone-dark")
        self.assertLessEqual(
            self.alice.run("return document.documentElement.scrollWidth"), 360)


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

    def polls(self, window):
        """[status, when asked, when answered (ms)] of each time the page asked for the states."""
        return window.run("""
            return performance.getEntriesByType("resource")
              .filter((entry) => entry.name.endsWith("/api/online-status/friends"))
              .map((entry) => [entry.responseStatus, entry.startTime, entry.responseEnd]);""")

    def test_friends_are_seen_without_streams(self):
        alice = Window(self.driver, first=True, url=self.url)
        alice.log_in("alice")
        self.assertEqual(alice.text("#connection"), "Polling")
        self.assertEqual(alice.friend("Bob")[0], False)
        self.assertTrue(any(re.search(r"/api/presence/stream.*501", entry["message"])
                            for entry in self.driver.get_log("browser")),
                        "the stream was answered otherwise than by 501")

        bob = Window(self.driver, url=self.url)
        bob.log_in("bob")
        wait_until("Bob is shown online", lambda: alice.friend("Bob") == [True, "Online"])
        self.assertIn("Bob is online",
                      alice.run("return document.getElementById('news').textContent"))
        bob.click("#logout")
        wait_until("Bob is shown offline", lambda: not alice.friend("Bob")[0])

        self.site.stop()
        wait_until("the page notices", lambda: alice.state() == "connecting")
        self.site.start()
        wait_until("the page is live again", lambda: alice.state() == "polling")
        gaps = [later[1] - earlier[1]
                for earlier, later in itertools.pairwise(self.polls(alice))]
        self.assertGreater(min(gaps), 0.75 * POLL_MS, "asked more often than it may")

        presencectl("kick", "2")
        wait_until("Alice is told", lambda: "ended elsewhere" in (alice.text("#notice") or ""))

    def test_a_hidden_page_asks_less_often(self):
        alice = Window(self.driver, first=True, url=self.url)
        alice.log_in("alice")
        self.driver.minimize_window()
        wait_until("the page is hidden", lambda: alice.run("return document.hidden"))
        seen = len(self.polls(alice))
        wait_until("two more polls", lambda: len(self.polls(alice)) >= seen + 2)
        (_, first, _), (_, second, _) = self.polls(alice)[seen:seen + 2]
        self.assertGreater(second - first, 3 * POLL_MS, "as often as a page that is seen")
        shown = time.monotonic()
        self.driver.set_window_rect(0, 0, 900, 800)
        wait_until("the page is seen", lambda: not alice.run("return document.hidden"))
        wait_until("a poll", lambda: len(self.polls(alice)) > seen + 2)
        self.assertLess(time.monotonic() - shown, 3 * POLL_MS / 1000)
        alice.run("sessionStorage.clear()")

    def test_retry_after_is_respected(self):
        alice = Window(self.driver, first=True, url=self.url)
        alice.log_in("alice")
        subprocess.run(["redis-cli", "-s", os.path.join(DIR, "redis.sock"),
                        "client", "pause", "3000", "all"], check=True, capture_output=True)
        wait_until("the page notices", lambda: alice.state() == "degraded")
        wait_until("the page is live again", lambda: alice.state() == "polling")
        polls = self.polls(alice)
        after_503 = [later[1] - earlier[2] for earlier, later in itertools.pairwise(polls)
                     if earlier[0] == 503]
        self.assertTrue(after_503, f"there was no 503: {polls}")
        self.assertGreaterEqual(min(after_503), 1900, "Retry-After: 2 was not waited for")
        alice.run("sessionStorage.clear()")


if __name__ == "__main__":
    unittest.main()
