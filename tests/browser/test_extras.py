"""What a user does besides looking, in a real browser: extras.js (stand.py)."""

import json
import time
import unittest

from stand import GRACE, SWEEP, URL, redis_cli, version_of, wait_until
from test_client import BOB, Case, token


class Myself(Case):
    """What a user does besides looking: extras.js."""

    def two(self):
        alice = self.open().start(token=token("2"))
        bob = self.open().start(token=token(BOB))
        for tab in (alice, bob):
            tab.wait_state("live")
        wait_until("Alice sees Bob", lambda: alice.is_online(BOB))
        return alice, bob

    def test_a_chosen_state_shows_everywhere(self):
        alice, bob = self.two()
        other = self.open().start(token=token(BOB))
        self.addCleanup(bob.extra, "clearStatus")
        mine = bob.extra("setStatus", {"status": "meeting", "text": "Room 4", "emoji": "☕"})
        self.assertEqual(mine["text"], "Room 4")
        wait_until("Alice sees the meeting", lambda: alice.see(BOB)["status"] == "meeting")
        self.assertEqual([alice.see(BOB)[name] for name in ("text", "emoji")], ["Room 4", "☕"])
        wait_until("Bob's other tab shows it", lambda: other.run(
            "return client.self?.status") == "meeting")
        self.assertEqual(bob.extra("getStatus")["chosen"]["text"], "Room 4")
        bob.extra("clearStatus")
        wait_until("Alice sees him online", lambda: alice.see(BOB)["status"] == "online")
        self.assertNotIn("text", alice.see(BOB))

    def test_invisible_is_offline_to_others_alone(self):
        alice, bob = self.two()
        self.addCleanup(bob.extra, "clearStatus")
        bob.extra("setStatus", {"status": "invisible"})
        wait_until("Alice sees him go", lambda: not alice.is_online(BOB))
        wait_until("Bob knows", lambda: bob.run("return client.self.invisible"))

    def test_what_is_wrong_is_told(self):
        _, bob = self.two()
        code, message = bob.extra("setStatus", {"text": "x" * 101})
        self.assertEqual(code, "bad_value")
        self.assertIn("text", message)

    def test_settings_change_one_by_one(self):
        _, bob = self.two()
        bob.extra("changeSettings", {"typing": False})
        self.addCleanup(bob.extra, "changeSettings", {"typing": True, "last_seen": "exact"})
        settings = bob.extra("changeSettings", {"last_seen": "coarse"})
        self.assertEqual(settings, {"last_seen": "coarse", "typing": False, "nearby": "off"})
        self.assertEqual(bob.extra("getSettings"), settings)

    def test_blocks_hide_each_from_the_other(self):
        alice, bob = self.two()
        self.assertIsNone(bob.extra("block", 2))
        self.addCleanup(bob.extra, "unblock", 2)
        wait_until("neither sees the other",
                   lambda: not alice.is_online(BOB) and not bob.is_online("2"))
        self.assertEqual(bob.extra("getBlocks"), [2])
        bob.extra("unblock", 2)
        wait_until("each sees the other", lambda: alice.is_online(BOB) and bob.is_online("2"))


class Typing(Case):
    def pair(self):
        tabs = [self.open().start(token=token(user)) for user in ("2", BOB)]
        for tab in tabs:
            tab.wait_state("live")
            tab.run("window.typing = new extras.Typing(client)")
        return tabs

    def seen(self, tab):
        return tab.run("return [...typing.getSnapshot()]")

    def test_a_friend_sees_it_begin_and_end(self):
        alice, bob = self.pair()
        bob.run("typing.input(2, {conversation: 'c1'})")
        wait_until("Alice sees Bob type", lambda: self.seen(alice) == [[BOB, "c1"]])
        bob.run("typing.stop(2)")
        wait_until("Alice sees him stop", lambda: self.seen(alice) == [])

    def test_it_ends_by_itself_without_another_key(self):
        alice, bob = self.pair()
        wait_until("Alice sees Bob type",
                   lambda: bob.run("typing.input(2)") or self.seen(alice) == [[BOB, ""]])
        wait_until("Alice sees him stop", lambda: self.seen(alice) == [])
        self.assertEqual(bob.log("error"), [])


class Idle(Case):
    AFTER_MS = 1500
    LIFETIME = 8

    def detect(self, tab):
        tab.run("window.stopIdle = extras.detectIdle(client, {afterMs: arguments[0]})",
                self.AFTER_MS)

    def press(self, tab):
        tab.run("dispatchEvent(new KeyboardEvent('keydown', {key: 'a'}))")

    def sees(self, tab, status):
        return wait_until(f"Bob is {status}", lambda: tab.see(BOB)["status"] == status)

    def test_a_user_is_away_when_no_tab_has_input_and_not_before(self):
        alice = self.open().start(token=token("2"))
        mine = token(BOB)
        tabs = [self.open().start(token=mine) for _ in range(2)]
        for tab in (alice, *tabs):
            tab.wait_state("live")
        for tab in tabs:
            self.detect(tab)
        end = time.monotonic() + 3 * self.AFTER_MS / 1000
        while time.monotonic() < end:  # the tab that does not lead is the one that is used
            self.press(tabs[1])
            self.assertEqual(alice.see(BOB)["status"], "online")
            time.sleep(0.2)
        self.sees(alice, "away")
        self.press(tabs[1])
        self.sees(alice, "online")

    def test_a_new_token_makes_nobody_look_active(self):
        alice = self.open().start(token=token("2"))
        bob = self.open()
        bob.run("const [short, long] = arguments; window.asked = [];"
                "window.giveToken = ({reason}) => {"
                "  asked.push(reason); return reason === 'connect' ? short : long; };",
                token(BOB, self.LIFETIME), token(BOB))
        bob.start(getToken=True)
        for tab in (alice, bob):
            tab.wait_state("live")
        self.detect(bob)
        alice.go()  # from here on nobody looks at Bob's tab, which would be input
        self.sees(alice, "away")
        version = version_of(BOB)
        end = time.monotonic() + self.LIFETIME + GRACE + 2 * SWEEP
        while time.monotonic() < end:
            self.assertEqual(alice.see(BOB)["status"], "away")
            time.sleep(0.2)
        self.assertEqual(version_of(BOB), version, "Bob was seen to change")
        self.assertIn("expiring", bob.run("return asked"))


class Push(Case):
    def test_the_service_worker_shows_what_comes(self):
        page = self.open()
        self.driver.execute_cdp_cmd("Browser.grantPermissions", {
            "origin": URL, "permissions": ["notifications"]})
        registered = self.driver.execute_async_script("""
            const [done] = arguments;
            navigator.serviceWorker.register("/service-worker.js")
              .then(() => navigator.serviceWorker.ready).then(() => done(null), (e) => done(`${e}`));""")
        self.assertIsNone(registered)

        def shown():
            page.go()
            return self.driver.execute_async_script("""
                const [done] = arguments;
                navigator.serviceWorker.ready.then((r) => r.getNotifications())
                  .then((all) => done(all.map(({title, body, data}) => [title, body, data])));""")

        message = {"web_push": 8030, "notification": {
            "title": "Bob is online", "body": "Say hello", "navigate": "/chat", "tag": "online"}}
        wait_until("the worker is ready", lambda: self.driver.execute_async_script("""
            const [done] = arguments;
            navigator.serviceWorker.ready.then(({active}) => done(active.state === "activated"));"""))
        for data, expected in (
                (json.dumps(message), ["Bob is online", "Say hello", {"navigate": "/chat"}]),
                ("no JSON", ["localhost", "", {"navigate": "/"}])):
            wait_until(f"{expected} is shown", lambda: self.comes(data, expected, shown))

    def comes(self, data, expected, shown):
        """Whether it is shown. DevTools drop what comes before they know the worker: said again then."""
        self.deliver(data)
        end = time.monotonic() + 3
        while expected not in shown():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def deliver(self, data):
        """As the browser's push service would; the number of the registration is Chromium's first."""
        self.driver.execute_cdp_cmd("ServiceWorker.enable", {})
        self.driver.execute_cdp_cmd("ServiceWorker.deliverPushMessage", {
            "origin": URL + "/", "registrationId": "0", "data": data})


class Nearby(Case):
    """Who is near, with places that the browser pretends: extras.js' Nearby and shareLocation."""

    SEOUL_STATION = (37.5547, 126.9707)
    CITY_HALL = (37.5601, 126.9752)  # 700 m away
    BUSAN = (35.1152, 129.0403)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.driver.execute_cdp_cmd("Browser.grantPermissions", {
            "origin": URL, "permissions": ["geolocation"]})

    def setUp(self):
        super().setUp()
        for user in ("2", BOB):  # of whom an earlier test told a place another one counts later
            redis_cli("DEL", "user:cell:" + user, "user:settings:" + user)

    def at(self, user, place):
        """A live tab of this user, on a device that is there."""
        tab = self.open().start(token=token(user))
        tab.wait_state("live")
        latitude, longitude = place
        tab.go()
        self.driver.execute_cdp_cmd("Emulation.setGeolocationOverride", {
            "latitude": latitude, "longitude": longitude, "accuracy": 10})
        tab.run("window.near = new extras.Nearby(client)")
        return tab

    def share(self, tab):
        """Shares the place of the tab's device; what goes wrong is kept as [code, message]."""
        tab.run("""
            window.refused = [];
            window.stopSharing = extras.shareLocation(client, {
              onError: (error) => refused.push([error.code, error.message])});""")

    def allow(self, tab):
        self.assertEqual(tab.extra("changeSettings", {"nearby": "friends"})["nearby"], "friends")

    def seen(self, tab):
        return tab.run("return [...near.getSnapshot().keys()]")

    def two(self, alices, bobs):
        tabs = [self.at("2", alices), self.at(BOB, bobs)]
        for tab in tabs:
            self.allow(tab)
            self.share(tab)
            wait_until("the place is told", lambda: self.has_place("2" if tab is tabs[0] else BOB))
        return tabs

    def has_place(self, user):
        return redis_cli("EXISTS", "user:cell:" + user).strip() == "1"

    def test_two_who_share_their_places_learn_that_they_are_near(self):
        alice, bob = self.two(self.SEOUL_STATION, self.CITY_HALL)
        wait_until("each sees the other", lambda: self.seen(alice) == [BOB]
                   and self.seen(bob) == ["2"])
        late = self.open().start(token=token("2"))
        late.wait_state("live")
        late.run("window.near = new extras.Nearby(client)")
        wait_until("who comes later is told, too", lambda: self.seen(late) == [BOB])
        self.assertNotIn("37.5", str(bob.run("return JSON.stringify(log)")))

    def test_who_stops_sharing_is_near_no_more(self):
        alice, bob = self.two(self.SEOUL_STATION, self.SEOUL_STATION)
        wait_until("Alice sees Bob", lambda: self.seen(alice) == [BOB])
        bob.run("stopSharing()")
        wait_until("neither sees the other", lambda: self.seen(alice) == []
                   and self.seen(bob) == [])
        self.assertFalse(self.has_place(BOB))

    def test_who_is_far_away_is_not_near(self):
        alice, bob = self.two(self.SEOUL_STATION, self.BUSAN)
        self.assertEqual([tab.run("return client.call('GET', '/presence/nearby')")
                          for tab in (alice, bob)], [{"user_ids": []}] * 2)
        self.assertEqual([self.seen(alice), self.seen(bob)], [[], []])

    def test_who_goes_offline_is_near_no_more(self):
        alice, bob = self.two(self.SEOUL_STATION, self.SEOUL_STATION)
        wait_until("Alice sees Bob", lambda: self.seen(alice) == [BOB])
        self.addCleanup(redis_cli, "DEL", "user:chosen:" + BOB)
        self.assertEqual(bob.extra("setStatus", {"status": "invisible"})["invisible"], True)
        wait_until("Alice sees nobody", lambda: self.seen(alice) == [])

    def test_an_answer_that_is_older_than_an_event_changes_nothing(self):
        alice, bob = self.two(self.SEOUL_STATION, self.SEOUL_STATION)
        wait_until("Alice sees Bob", lambda: self.seen(alice) == [BOB])
        alice.run("""
            const call = client.call.bind(client);
            client.call = async (...args) => {
              const answer = await call(...args);
              window.held = true;
              await new Promise((give) => { window.give = give; });
              setTimeout(() => { window.given = true; });
              return answer;
            };
            client.dispatchEvent(new Event("state"));""")
        wait_until("an answer is under way", lambda: alice.run("return window.held"))
        bob.run("stopSharing()")
        wait_until("Alice sees nobody", lambda: self.seen(alice) == [])
        alice.run("give()")
        wait_until("the answer is there", lambda: alice.run("return window.given"))
        self.assertEqual(self.seen(alice), [])

    def test_without_the_setting_a_place_is_refused(self):
        alice = self.at("2", self.SEOUL_STATION)
        self.share(alice)
        refused = wait_until("it is refused", lambda: alice.run("return refused"))
        self.assertEqual(refused[0][0], "sharing_off")
        self.assertFalse(self.has_place("2"))

    def test_a_device_that_tells_no_place(self):
        alice = self.at("2", self.SEOUL_STATION)
        self.driver.execute_cdp_cmd("Emulation.setGeolocationOverride", {})  # unavailable
        self.allow(alice)
        self.share(alice)
        # What the browser says: GeolocationPositionError, POSITION_UNAVAILABLE.
        refused = wait_until("it is told", lambda: alice.run("return refused"))
        self.assertEqual(refused[0][0], 2)
        self.assertFalse(self.has_place("2"))


if __name__ == "__main__":
    unittest.main()
