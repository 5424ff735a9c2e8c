"""The client library in a real browser: many tabs, tokens that end, what goes wrong (stand.py).

Each tab is a page of the site that runs presence.js by itself, without the pages' code.
"""

import json
import os
import shutil
import signal
import subprocess
import time
import unittest

from stand import (DEADLINE, DIR, GRACE, SOURCE, SWEEP, URL, BrowserCase, Http2, forget_rates,
                   presencectl, streams_answer, version_of, wait_until)

TABS = 12  # more than the six connections that a browser opens to one host over HTTP/1.1
PORT = URL.rsplit(":", 1)[1]
INSECURE_URL = f"http://presence.test:{PORT}"  # no secure context there, so no Web Locks
BOB = "3"
NPM = os.path.join(SOURCE, "tests/npm")
ESBUILD = os.path.join(NPM, "node_modules/.bin/esbuild")
STANDSTILL_MS = 8000  # of a tab: longer than the others put up with

START = """
    const [options, done] = arguments;
    window.log = [];
    window.views = [];
    Promise.all([import("/presence.js"), import("/extras.js")]).then(([{PresenceClient}, extras]) => {
      window.extras = extras;
      if (options.getToken) options.getToken = window.giveToken;
      window.client = new PresenceClient(options);
      for (const name of ["state", "error", "bye", "change", "self"]) {
        client.addEventListener(name, ({detail}) => log.push([name, detail]));
      }
      client.subscribe((friends) => views.push(friends));
      client.connect();
      done(null);
    }).catch((error) => done(String(error)));"""


def token(user, lifetime=3600):
    return presencectl("token", user, "--lifetime", str(lifetime)).strip()


def streams_of(user):
    """Sessions of the user's open streams, as Redis has them: not those that wait for their grace."""
    lines = subprocess.run(
        ["redis-cli", "-s", os.path.join(DIR, "redis.sock"), "ZRANGE", f"user:sessions:{user}",
         "0", "-1", "WITHSCORES"], check=True, capture_output=True, text=True).stdout.split()
    return [name for name, deadline in zip(lines[::2], lines[1::2])
            if name.startswith("s:") and not deadline.endswith(".5")]


class Tab:
    def __init__(self, driver, url=URL, first=False):
        self.driver = driver
        if not first:
            driver.switch_to.new_window("tab")
        driver.get(url + "/")
        self.handle = driver.current_window_handle

    def go(self):
        self.driver.switch_to.window(self.handle)

    def run(self, script, *args):
        self.go()
        return self.driver.execute_script(script, *args)

    def start(self, **options):
        self.go()
        error = self.driver.execute_async_script(START, options)
        if error is not None:
            raise AssertionError(error)
        return self

    def state(self):
        return self.run("return window.client.state")

    def wait_state(self, state, deadline=DEADLINE):
        wait_until(f"a tab is {state}", lambda: self.state() == state, deadline)

    def log(self, name):
        return self.run("return log.filter(([name]) => name === arguments[0])"
                        ".map(([, detail]) => detail)", name)

    def is_online(self, user):
        return self.run("return client.get(arguments[0])?.is_online", user)

    def see(self, user):
        """What this tab shows of a user."""
        return self.run("return client.get(arguments[0])", user)

    def extra(self, call, *args):
        """Runs extras.CALL(client, ...); gives what it resolves to, or the error's code and message."""
        self.go()
        return self.driver.execute_async_script("""
            const [call, args, done] = arguments;
            Promise.resolve(extras[call](client, ...args)).then(
              (value) => done(typeof value === "function" ? null : value),
              (error) => done([error.code, error.message]));""", call, args)

    def close(self):
        self.go()
        self.driver.close()


class Case(BrowserCase):
    flags = ("--host-resolver-rules=MAP presence.test 127.0.0.1",
             # Tabs in processes of their own, so that one can stand still while another does not.
             "--disable-features=ProcessPerSiteUpToMainFrameThreshold")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.driver.set_script_timeout(DEADLINE)

    def setUp(self):
        self.tabs = []
        self.addCleanup(self.close_tabs)

    def close_tabs(self):
        for handle in self.driver.window_handles:
            if handle != self.home:
                self.driver.switch_to.window(handle)
                self.driver.close()
        self.driver.switch_to.window(self.home)
        self.driver.get("about:blank")
        for user in ("1", "2", "3", "4", "5"):
            presencectl("kick", user)
        forget_rates()

    def open(self, url=URL):
        tab = Tab(self.driver, url)
        self.tabs.append(tab)
        return tab


class Tabs(Case):
    """One stream for all tabs of a user."""

    url = URL

    def open_live(self, count):
        """Tabs of one user, the one that leads first: without locks a number at random decides."""
        bob = token(BOB)
        tabs = [self.open(self.url).start(token=bob) for _ in range(count)]
        for tab in tabs:
            tab.wait_state("live")
        leads = [tab.run("return client.holdsStream") for tab in tabs]
        self.assertEqual(leads.count(True), 1, leads)
        return sorted(tabs, key=lambda tab: not leads[tabs.index(tab)])

    def test_twelve_tabs_share_one_stream(self):
        tabs = self.open_live(TABS)
        self.assertEqual(len(streams_of(BOB)), 1)
        alice = self.open(self.url).start(token=token("2"))
        alice.wait_state("live")
        for tab in tabs:
            wait_until("each tab sees Alice come", lambda: tab.is_online("2"))

    def test_another_tab_leads_when_the_one_that_led_closes(self):
        alice = self.open(self.url).start(token=token("2"))
        alice.wait_state("live")
        tabs = self.open_live(3)
        wait_until("Alice sees Bob", lambda: alice.is_online(BOB))
        first_stream = streams_of(BOB)
        version = version_of(BOB)
        tabs[0].close()
        for tab in tabs[1:]:
            tab.go()
            wait_until("a stream of another tab",
                       lambda: len(streams_of(BOB)) == 1 and streams_of(BOB) != first_stream)
            tab.wait_state("live")
        end = time.monotonic() + GRACE + 2 * SWEEP + 1
        while time.monotonic() < end:  # nothing may happen: there is no condition to wait for
            self.assertTrue(alice.is_online(BOB))
            time.sleep(0.2)
        self.assertEqual(version_of(BOB), version, "Bob was seen to go or to come")

    def test_a_tab_that_stands_still_does_not_hold_the_others_up(self):
        tabs = self.open_live(2)
        first_stream = streams_of(BOB)
        # Not before the other tab is the one that is seen: a hidden one does not look for it.
        tabs[0].run("""
            const [ms] = arguments;
            addEventListener("visibilitychange", () => setTimeout(() => {
              const end = performance.now() + ms;
              while (performance.now() < end);
            }, 1000), {once: true});""", STANDSTILL_MS)
        tabs[1].go()
        wait_until("the other tab is seen", lambda: tabs[1].run("return !document.hidden"))
        wait_until("another tab leads", lambda: set(streams_of(BOB)) - set(first_stream) != set())
        tabs[1].wait_state("live")
        wait_until("one stream is left", lambda: len(streams_of(BOB)) == 1)
        tabs[0].wait_state("live")
        alice = self.open(self.url).start(token=token("2"))
        alice.wait_state("live")
        for tab in tabs:
            wait_until("each tab sees Alice come", lambda: tab.is_online("2"))

    def test_tabs_of_two_users_do_not_mix(self):
        bob = self.open(self.url).start(token=token(BOB))
        alice = self.open(self.url).start(token=token("2"))
        for tab, friend in ((bob, "2"), (alice, BOB)):
            wait_until("each sees the other", lambda: tab.is_online(friend))
        self.assertEqual([len(streams_of(BOB)), len(streams_of("2"))], [1, 1])


class Http2Tabs(Case):
    flags = (*Case.flags, "--ignore-certificate-errors")

    def test_twelve_tabs_are_live_behind_a_stock_lighttpd(self):
        """It answers 8 requests of one HTTP/2 connection at a time: a stream each would be too many."""
        site = Http2()
        site.start()
        self.addCleanup(site.stop)
        mine = token(BOB)
        tabs = [self.open(site.url) for _ in range(TABS)]
        for tab in tabs:
            tab.start(token=mine)
        for tab in tabs:
            tab.wait_state("live")
        self.assertEqual(tabs[0].run(
            "return performance.getEntriesByType('navigation')[0].nextHopProtocol"), "h2")
        self.assertEqual(len(streams_of(BOB)), 1)


class InsecureTabs(Tabs):
    """The same without Web Locks: the tabs agree among themselves."""

    url = INSECURE_URL

    def test_this_is_not_a_secure_context(self):
        tab = self.open(self.url)
        self.assertFalse(tab.run("return isSecureContext"))
        self.assertFalse(tab.run("return 'locks' in navigator"))


class Watching(Case):
    """Users who are no friends of a token's user: all accounts of the stand are friends of 1 to 5."""

    GUEST = "guest|7"

    def test_tabs_with_different_watch_lists_share_one_stream(self):
        mine = token(self.GUEST)
        first = self.open().start(token=mine, watch=["2"])
        second = self.open().start(token=mine, watch=[3, "nobody"])
        alice = self.open().start(token=token("2"))
        bob = self.open().start(token=token(BOB))
        for tab in (alice, bob):
            tab.wait_state("live")
        wait_until("the first tab sees Alice", lambda: first.is_online("2"))
        wait_until("the second tab sees Bob", lambda: second.is_online(BOB))
        self.assertFalse(second.is_online("nobody"))
        self.assertEqual(len(streams_of(self.GUEST)), 1)

    def test_the_list_can_be_another_one_later(self):
        tab = self.open().start(token=token(self.GUEST), watch=["2"])
        bob = self.open().start(token=token(BOB))
        bob.wait_state("live")
        tab.wait_state("live")
        self.assertIsNone(tab.see(BOB))
        tab.run("client.watch([3])")
        wait_until("Bob is seen", lambda: tab.is_online(BOB))
        self.assertIsNone(tab.see("2"))
        self.assertEqual([entry["state"] for entry in tab.log("state")], ["connecting", "live"])

    def test_a_list_too_long_for_a_url(self):
        users = [f"user-with-a-long-name-{i}" for i in range(999)] + [BOB]
        tab = self.open().start(token=token(self.GUEST), watch=users)
        bob = self.open().start(token=token(BOB))
        bob.wait_state("live")
        wait_until("Bob is seen", lambda: tab.is_online(BOB))
        self.assertEqual(tab.run("return client.friends.size"), 1000)

    def test_only_the_list_without_the_friends(self):
        tab = self.open().start(token=token("2"), watch=[BOB], friends=False)
        tab.wait_state("live")
        self.assertEqual(tab.run("return [...client.friends.keys()]"), [BOB])


class Tokens(Case):
    LIFETIME = 6

    def test_tokens_are_renewed_without_a_gap(self):
        alice = self.open().start(token=token("2"))
        alice.wait_state("live")
        bob = self.open()
        bob.run("window.wanted = [];"
                "window.giveToken = (why) => new Promise((give) => wanted.push({why, give}))")
        bob.start(getToken=True)
        given = []
        end = time.monotonic() + 60
        version = None
        while time.monotonic() < end:
            why = bob.run("return wanted[0]?.why.reason")
            if why is not None:
                given.append(why)
                bob.run("wanted.shift().give(arguments[0])", token(BOB, self.LIFETIME))
            if version is None and bob.state() == "live":
                version = version_of(BOB)
            time.sleep(0.05)
        states = [entry["state"] for entry in bob.log("state")]
        self.assertEqual(states, ["connecting", "live"],
                         f"asked for tokens: {given}; {bob.log('error')} {bob.log('bye')}")
        self.assertGreaterEqual(given.count("expiring"), 60 // self.LIFETIME - 1)
        self.assertEqual(version_of(BOB), version, "Bob was seen to go or to come")
        self.assertTrue(alice.is_online(BOB))

    def test_local_logins_renew_themselves(self):
        self.addCleanup(presencectl, "kick", BOB)
        tab = self.open().start(token=token(BOB, self.LIFETIME))
        tab.wait_state("live")
        end = time.monotonic() + 2 * self.LIFETIME
        while time.monotonic() < end:
            self.assertEqual(tab.state(), "live")
            time.sleep(0.2)

    def test_a_token_that_cannot_be_renewed_ends_the_client(self):
        tab = self.open()
        tab.run("window.asked = []; const token = arguments[0];"
                "window.giveToken = ({reason}) => { asked.push(reason); return token; }",
                token(BOB, 3))
        tab.start(getToken=True)
        tab.wait_state("live")
        tab.wait_state("closed")
        self.assertEqual(tab.log("bye"), [{"reason": "token_expired"}])
        self.assertIn("expired", tab.run("return asked"))


class Trouble(Case):
    """What does not work is said, with what happens next."""

    def first_error(self, tab):
        return wait_until("an error event", lambda: tab.log("error"))[0]

    def test_a_wrong_base(self):
        error = self.first_error(self.open().start(token=token(BOB), base="/nothing"))
        self.assertEqual((error["code"], error["status"]), ("http_404", 404))
        self.assertTrue(error["message"])
        self.assertTrue(500 <= error["retryInMs"] <= 1500, error)

    def test_a_get_token_that_throws(self):
        tab = self.open()
        tab.run("window.giveToken = () => { throw new Error('no session'); }")
        error = self.first_error(tab.start(getToken=True))
        self.assertEqual((error["code"], error["status"]), ("token_unavailable", 0))
        self.assertIn("no session", error["message"])

    def test_too_many_streams(self):
        mine = token(BOB)
        # Some in each page, for a browser opens no more than six connections to one host.
        first = self.open(INSECURE_URL)
        for _ in range(5):
            first.start(token=mine, share=False)
            first.wait_state("live")
        second = self.open()
        for _ in range(5):
            second.start(token=mine, share=False)
            second.wait_state("live")
        last = self.open("http://127.0.0.1:" + PORT).start(token=mine, share=False)
        error = self.first_error(last)
        self.assertEqual((error["code"], error["status"]), ("too_many_streams", 429))
        self.assertGreaterEqual(error["retryInMs"], 1000)

    def test_a_server_that_is_away(self):
        tab = self.open().start(token=token(BOB))
        tab.wait_state("live")
        self.streamd.kill()
        try:
            errors = wait_until("an answer of 503",
                                lambda: [e for e in tab.log("error") if e["status"] == 503])
            self.assertEqual(errors[0]["code"], "http_503")
            self.assertEqual(tab.log("error")[0]["code"], "connection_lost")
        finally:
            self.streamd.start()
        tab.wait_state("live", 60)

    def test_the_network_is_back(self):
        """A waiting client tries at once when the browser says that it is online again."""
        tab = self.open()
        # Waits of a minute and more: only the event can be what ends one.
        tab.start(token=token(BOB), share=False, retryMs=20000)
        tab.wait_state("live")
        self.driver.execute_cdp_cmd("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.streamd.kill()
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
        tab.wait_state("connecting")
        self.streamd.start()
        wait_until("presence-streamd answers", streams_answer)
        before = time.monotonic()
        self.driver.execute_cdp_cmd("Network.emulateNetworkConditions",
                                    {**offline, "offline": False})
        tab.wait_state("live")
        self.assertLess(time.monotonic() - before, 8, "it waited for its timer")

    def test_a_page_that_wakes_doubts_its_connection(self):
        """One that was frozen finds out in seconds, not by its watchdog, that nothing comes any more."""
        tab = self.open().start(token=token(BOB), share=False)
        tab.wait_state("live")
        self.driver.execute_cdp_cmd("Page.setWebLifecycleState", {"state": "frozen"})
        self.streamd.process.send_signal(signal.SIGSTOP)
        try:
            slept = time.monotonic()  # longer than the second in which a stream is not doubted
            wait_until("it has slept", lambda: time.monotonic() - slept > 1.5)
            before = time.monotonic()
            self.driver.execute_cdp_cmd("Page.setWebLifecycleState", {"state": "active"})
            tab.wait_state("connecting")
            self.assertLess(time.monotonic() - before, 8, "it waited for its watchdog")
        finally:
            self.streamd.process.send_signal(signal.SIGCONT)
        tab.wait_state("live")

    def test_a_page_that_is_left_and_shown_again_connects_again(self):
        """As the back button shows it, out of the browser's cache of pages."""
        tab = self.open().start(token=token(BOB), share=False)
        tab.wait_state("live")
        tab.run("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
        wait_until("the stream is closed", lambda: streams_of(BOB) == [])
        tab.run("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
        wait_until("there is a stream", lambda: len(streams_of(BOB)) == 1)
        tab.wait_state("live")


class Views(Case):
    def test_each_change_makes_a_new_view_and_leaves_the_old_one_alone(self):
        alice = self.open().start(token=token("2"))
        alice.wait_state("live")
        seen = len(alice.run("return views.map(() => 0)"))
        bob = self.open().start(token=token(BOB))
        bob.wait_state("live")
        wait_until("Alice sees Bob", lambda: alice.is_online(BOB))
        self.assertEqual(alice.run("""
            const before = views[arguments[0] - 1];
            const after = client.getSnapshot();
            return [before.get("3").is_online, after.get(3).is_online, before === after,
                    Object.isFrozen(after), typeof after.set, after === client.friends];""", seen),
            [False, True, False, True, "undefined", True])

    def test_an_event_source_does_where_fetch_cannot_stream(self):
        tab = self.open()
        tab.run("""
            window.urls = [];
            window.EventSource = class extends EventSource {
              constructor(url) { super(url); urls.push(url); }
            };""")
        tab.start(token=token(BOB), transport="eventsource", share=False)
        tab.wait_state("live")
        alice = self.open().start(token=token("2"))
        alice.wait_state("live")
        wait_until("Bob's tab sees Alice", lambda: tab.is_online("2"))
        urls = tab.run("return urls")
        self.assertEqual(len(urls), 1)
        self.assertIn("?ticket=", urls[0])

    def test_how_long_ago_in_the_readers_language(self):
        tab = self.open()
        self.assertEqual(tab.driver.execute_async_script("""
            const [done] = arguments;
            const now = Date.parse("2024-01-21T10:30:00Z");
            const rows = [["2024-01-21T10:25:00Z", "en"], ["2024-01-21T10:25:00Z", "ko"],
                          ["2024-01-21T10:29:58Z", "en"], ["2024-01-21T10:29:35Z", "en"],
                          ["2024-01-21T07:00:00Z", "en"], ["2024-01-20T10:00:00Z", "en"],
                          ["2024-01-21T10:31:00Z", "en"]];
            import("/presence.js").then(({formatLastSeen, untilLastSeenChanges}) => done([
              rows.map(([time, locale]) => formatLastSeen(time, {locale, now})),
              rows.slice(0, 4).map(([time]) => untilLastSeenChanges(time, now + 1000))]));"""),
            [["5 minutes ago", "5분 전", "now", "20 seconds ago", "3 hours ago", "yesterday", "now"],
             [59000, 59000, 7000, 4000]])


@unittest.skipUnless(os.path.exists(ESBUILD), "npm's tools are missing: ./bootstrap --tests")
class React(Case):
    def test_a_react_page_draws_what_changes(self):
        bundle = subprocess.run(
            [ESBUILD, "app.jsx", "--bundle", "--jsx=automatic", "--format=iife",
             '--define:process.env.NODE_ENV="production"', "--alias:react=./node_modules/react"],
            cwd=NPM, check=True, capture_output=True, text=True).stdout
        page = self.open()
        page.run("new Function(arguments[0])()", bundle)
        page.run("startApp(arguments[0])", token("2"))

        def text(friend):
            return page.run("return document.getElementById(arguments[0])?.innerText",
                            f"friend-{friend}")

        wait_until("Bob is drawn offline", lambda: text(BOB) == "offline")
        self.assertEqual(page.run("return document.getElementById('app-friends').dataset.state"),
                         "live")
        drawn = page.run("return {...drawn}")
        bob = self.open().start(token=token(BOB))
        bob.wait_state("live")
        wait_until("Bob is drawn online", lambda: text(BOB) == "online")
        self.assertEqual(text("4"), "offline")
        self.assertGreater(page.run("return drawn[3]"), drawn[BOB])
        wait_until("Alice is online for Bob", lambda: bob.is_online("2"))
        page.run("stopApp()")
        wait_until("the page's stream is closed", lambda: streams_of("2") == [])


class SharedWorker(Case):
    def test_the_client_runs_in_a_shared_worker(self):
        """Where there is no document. The worker is a text of this test's, which the site's policy forbids."""
        tab = self.open()
        self.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
        self.driver.refresh()
        tab.run("""
            const [site, token] = arguments;
            const text = `
              import {PresenceClient} from "${site}/presence.js";
              const client = new PresenceClient({base: "${site}/api", token: "${token}"});
              const ports = [], log = [];
              const tell = (entry) => { log.push(entry); ports.forEach((port) => port.postMessage(log)); };
              client.addEventListener("state", ({detail}) => tell(detail.state));
              client.addEventListener("change", ({detail}) => detail.changes.forEach(
                ({id, status}) => status.is_online && tell(id)));
              onconnect = ({ports: [port]}) => { ports.push(port); port.postMessage(log); };
              client.connect();`;
            window.heard = [];
            window.worker = new SharedWorker(
              URL.createObjectURL(new Blob([text], {type: "text/javascript"})), {type: "module"});
            worker.onerror = ({message}) => { heard = [message ?? "the worker did not start"]; };
            worker.port.onmessage = ({data}) => { heard = data; };""", URL, token("2"))
        wait_until("the worker is live", lambda: "live" in tab.run("return heard"))
        bob = self.open().start(token=token(BOB))
        bob.wait_state("live")
        wait_until("the worker sees Bob come", lambda: BOB in tab.run("return heard"))


class Node(Case):
    def test_the_client_runs_in_node(self):
        env = {**os.environ, "PRESENCE_JS": os.path.join(SOURCE, "src/web/presence.js")}
        node = subprocess.Popen(
            [shutil.which("node"), os.path.join(NPM, "live.mjs"), URL + "/api", token("2")],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(node.stdout.close)
        self.addCleanup(node.kill)
        lines = iter(node.stdout.readline, "")

        def next_of(name):
            return next(detail for event, detail in map(json.loads, lines) if event == name)

        self.assertTrue(next_of("change")["full"])
        bob = self.open().start(token=token(BOB))
        bob.wait_state("live")
        change = next_of("change")["changes"][0]
        self.assertEqual((change["id"], change["status"]["is_online"]), (BOB, True))
        node.stdin.close()
        self.assertEqual(next_of("state"), {"state": "closed"})
        self.assertEqual(node.wait(DEADLINE), 0)


if __name__ == "__main__":
    unittest.main()
