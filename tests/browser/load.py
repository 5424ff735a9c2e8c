"""Some life for the pictures: people who change their states, streams that show them, calls; all real."""

import json
import math
import random
import threading
import time
import urllib.error
import urllib.request

from stand import URL, presencectl

PEOPLE = 40
FIRST = 101  # ids that no account has
WATCHERS = 40
TURN = 0.2  # seconds


def call(method, path, token, body=None):
    request = urllib.request.Request(URL + path, method=method, headers={
        "Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        data=json.dumps(body).encode() if body is not None else None)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()
    except urllib.error.HTTPError:
        pass  # some are refused, as anywhere


class Load:
    """From start() to stop()."""

    def __init__(self):
        self.over = threading.Event()
        self.tokens = [presencectl("token", str(FIRST + i)).strip() for i in range(PEOPLE)]
        self.threads = [threading.Thread(target=self.watch, args=(i,), daemon=True) for i in range(WATCHERS)]
        self.threads.append(threading.Thread(target=self.live, daemon=True))

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(20)

    def watch(self, number):
        users = ",".join(str(FIRST + i) for i in range(PEOPLE))
        request = urllib.request.Request(f"{URL}/api/presence/stream?users={users}", headers={
            "Authorization": f"Bearer {self.tokens[number % PEOPLE]}"})
        with urllib.request.urlopen(request, timeout=60) as stream:
            while not self.over.is_set() and stream.readline():
                pass

    def live(self):
        """Each person changes at most once in 8 seconds, and more of them at some times than at others."""
        dice = random.Random(1)
        turn = 0
        while not self.over.wait(TURN):
            turn += 1
            token = self.tokens[turn % PEOPLE]
            busy = 0.5 + 0.5 * math.sin(turn * TURN / 9)
            if dice.random() < 0.3 + 0.7 * busy:
                call("PUT", "/api/presence/status", token,
                     {"status": dice.choice(["busy", "away", "online", "meeting"])})
            for _ in range(int(1 + 4 * busy)):
                call("POST", "/api/online-status/heartbeat", dice.choice(self.tokens), {})
            if turn % 5 == 0:
                call("GET", "/api/friends/list", token)
            if turn % 40 == 0:
                call("GET", "/api/friends/list", "no-token")
            if turn % 15 == 0:
                call("POST", "/api/auth/login/json", token, {"email": "dave@example.com", "password": "password"})
