#!/usr/bin/env python3
"""What a site of so many users online needs, from the unit costs that `make bench-scale` measured.

    capacity.py UNITS [DOCUMENT]

UNITS has a NAME VALUE on each line (us of CPU, bytes). The table is printed, or put between the
markers of DOCUMENT. docs/scale.md tells what is assumed; the figures for that are below.
"""
import math
import sys

# What a user does.
FRIENDS_ONLINE = 20  # who watch each user just now
CHANGES = 6 / 3600  # that others see, a second: comes, goes, away, back …
CALLS = 12 / 3600  # of the API, a second
HEARTBEAT = 30  # seconds
TURNS = 60  # of a heartbeat, in each of which those of a part of the streams are due
LIFETIME = 600  # of a stream, seconds (max_lifetime)

# What a machine is.
BUSY = 0.6  # of a core, at most, for there are peaks
REDIS_BYTES = 8e9  # of one server's data: half of 16 GB, the rest for its copies
STREAMS = 50000  # of a presence-streamd and the lighttpd before it (max_streams, descriptors)
WORKERS = 4  # of presence-api, beside each presence-streamd

# Limits that no machine moves.
PARTITIONS_MAX = 1024
CONNECTIONS_MAX = 10000  # of a Redis server: its own default, maxclients

SIZES = (10_000, 1_000_000, 10_000_000, 100_000_000)
BEGIN, END = "<!-- capacity -->\n", "<!-- end of capacity -->\n"


def read_units(path):
    with open(path, encoding="utf-8") as file:
        return {name: float(value) for name, value in map(str.split, file)}


def in_a_call(turn):
    """How many renewals a call has, of so many on average that are due in a turn; none is no call."""
    return min(100, turn / (1 - math.exp(-turn)))


def beat(unit, partitions):
    """What a renewal costs Redis: its part of a call, and its own."""
    few, many = in_a_call(unit["redis.beats"]), in_a_call(unit["redis.beats.together"])
    call = max(0, (unit["redis.beat"] - unit["redis.beat.together"]) / (1 / few - 1 / many))
    own = unit["redis.beat.together"] - call / many
    return own + call / in_a_call(STREAMS / TURNS / partitions)


def redis_load(unit, users, processes, partitions):
    """Seconds of CPU a second that all servers of Redis need together."""
    hearers = min(processes, FRIENDS_ONLINE)
    change = max(unit["redis.login"], unit["redis.login.million"]) + unit["redis.publish"]
    change += max(0, unit["redis.publish.more"]) * (hearers - 1)
    each = (
        beat(unit, partitions) / HEARTBEAT
        + unit["redis.open"] / LIFETIME
        + change * CHANGES
        + max(unit["redis.renew"], unit["redis.renew.million"]) * CALLS
    )
    return (users * each + processes * partitions * unit["redis.sweep"]) / 1e6


def front_load(unit, users, part):
    """The same of presence-streamd, or of the web server before it."""
    told = unit[part + ".told"] * CHANGES * FRIENDS_ONLINE
    return users * (unit[part + ".beat"] / HEARTBEAT + unit[part + ".open"] / LIFETIME + told) / 1e6


def partitions_for(servers):
    """A power of two, eight or more for each server so that they are even; one needs none."""
    if servers == 1:
        return 1
    return min(PARTITIONS_MAX, 2 ** math.ceil(math.log2(8 * servers)))


def servers_for(unit, users, processes):
    """Servers and partitions; each server's sweeps count, so it takes more than one look."""
    servers = 1
    while True:
        partitions = partitions_for(servers)
        load = redis_load(unit, users, processes, partitions)
        needed = max(math.ceil(load / BUSY), math.ceil(users * unit["redis.bytes"] / REDIS_BYTES))
        if needed <= servers or servers >= PARTITIONS_MAX:
            return servers, partitions, load
        servers = min(needed, PARTITIONS_MAX)


def count(number):
    """1,234 or 1.2 million."""
    if number >= 1e6:
        return f"{number / 1e6:.3g} million"
    return f"{number:,.0f}"


def size(number):
    return f"{number / 1e9:.3g} GB" if number < 1e12 else f"{number / 1e12:.3g} TB"


def plan(unit, users):
    processes = math.ceil(users / STREAMS)
    servers, partitions, load = servers_for(unit, users, processes)
    streamd, web = front_load(unit, users, "streamd"), front_load(unit, users, "web")
    connections = processes * (2 + WORKERS)
    # How near to its limit each thing is.
    limits = {
        "streams of one presence-streamd": users / STREAMS if processes == 1 else 0,
        "the core of a Redis": load / servers / BUSY if servers == 1 else 0,
        "memory of a Redis": users * unit["redis.bytes"] / servers / REDIS_BYTES if servers == 1 else 0,
        "partitions": servers / PARTITIONS_MAX,
        "connections of each Redis": connections / CONNECTIONS_MAX,
        "sweeps, of what Redis does": processes * partitions * unit["redis.sweep"] / 1e6 / load,
    }
    first = max(limits, key=limits.get)
    return {
        "users online": count(users),
        "Redis servers (partitions)": f"{servers} ({partitions})",
        "of each, a core and memory": f"{100 * load / servers:.0f} %, {size(users * unit['redis.bytes'] / servers)}",
        "presence-streamd, and as many lighttpd": f"{processes}",
        "cores for them": f"{math.ceil((streamd + web) / BUSY)}",
        "memory for them": size(users * (unit["streamd.bytes"] + unit["web.bytes"])),
        "changes, deliveries, heartbeats a second": " / ".join(
            count(users * each) for each in (CHANGES, CHANGES * FRIENDS_ONLINE, 1 / HEARTBEAT)
        ),
        "breaks first": f"{first}: {100 * limits[first]:.0f} %",
    }


def table(unit):
    plans = [plan(unit, users) for users in SIZES]
    lines = ["| " + " | ".join(plans[0]) + " |", "|" + " --- |" * len(plans[0])]
    lines += ["| " + " | ".join(each.values()) + " |" for each in plans]
    costs = ", ".join(f"{name} {value:.4g}" for name, value in unit.items())
    return "\n".join(lines) + f"\n\nComputed from (µs of CPU, bytes): {costs}.\n"


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    text = table(read_units(sys.argv[1]))
    if len(sys.argv) == 2:
        print(text, end="")
        return
    with open(sys.argv[2], encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{after}")


main()
