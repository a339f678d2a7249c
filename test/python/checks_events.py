"""Checks of the events: each change once, in order, provably none missing."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import unquote

from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import ConsumerConfig, DeliverPolicy

from store import Broken, Report, Store, position_of

WAIT_SECONDS = 20


class Feed:
    """The events of all keys, and the proof that none is missing."""

    def __init__(self, store: Store, subscription) -> None:
        self.store = store
        self.subscription = subscription
        self.events: list = []
        self.lasts: dict = {}
        self.were_reset: set = set()
        self.gaps: list = []

    @classmethod
    async def open(cls, store: Store, policy: DeliverPolicy) -> "Feed":
        stream = f"{store.name}-events"
        config = ConsumerConfig(deliver_policy=policy)
        jetstream = store.connection.jetstream()
        subscription = await jetstream.pull_subscribe(
            f"{store.name}.event.>", stream=stream, config=config
        )
        return cls(store, subscription)

    async def until_none(self, missing) -> None:
        """Reads on until `missing(self)` is empty, or fails after WAIT_SECONDS."""
        end = time.monotonic() + WAIT_SECONDS
        while missing(self):
            if time.monotonic() > end:
                came = [event["subject"] for event in self.events[-10:]]
                raise Broken(missing(self), f"the last that came are {came}")
            try:
                messages = await self.subscription.fetch(batch=500, timeout=1)
            # The library's own, or Python's where its wait for the first message ran out.
            except (NatsTimeout, asyncio.TimeoutError):
                continue
            for message in messages:
                self._take(message)
                await message.ack()

    def _take(self, message) -> None:
        headers = {name.lower(): value for name, value in message.headers.items()}
        prefix = f"{self.store.name}.event."
        operation, _, rest = message.subject[len(prefix) :].partition(".")
        position, revision = int(headers["kv-position"]), int(headers["kv-revision"])
        key = unquote(headers["kv-key"]) if operation != "reset" else None
        last = self.lasts.get(position)
        due = last is None or revision == last + 1
        if operation == "reset":
            due = True
        elif position in self.were_reset and revision == last:
            due = True
        self.were_reset.discard(position)
        if operation == "reset":
            self.were_reset.add(position)
        if not due:
            self.gaps.append((position, last, revision, message.subject))
        self.lasts[position] = revision
        self.events.append(
            {
                "operation": operation,
                "key": key,
                "rest": rest,
                "subject": message.subject,
                "position": position,
                "revision": revision,
                "headers": headers,
                "data": message.data,
            }
        )

    def of(self, key: str) -> list:
        return [event for event in self.events if event["key"] == key]


async def changes(store: Store, report: Report, run: str) -> None:
    feed = await Feed.open(store, DeliverPolicy.NEW)
    key, odd, text = f"{run}.event", f"{run} odd/ü%\n*", f"{run}.event-text"
    revisions = [
        (await store.ask(f"set.{key}", b'{"n": 1}')).revision,
        (await store.ask(f"patch.{key}", {"m": 2})).revision,
        (await store.ask(f"incr.{key}", {"path": "n"})).revision,
        (await store.ask(f"touch.{key}", Kv_TTL="1h")).revision,
        (await store.ask(f"del.{key}")).revision,
    ]
    await store.ask(f"del.{key}")
    await store.ask(f"set.{key}-refused", 1, Kv_If_Revision=9)
    await store.ask("set", {"key": odd, "value": [1, 2]})
    await store.ask(f"set.{text}", b"short", Content_Type="text/plain", Kv_TTL="1s")
    wanted = {key: 5, odd: 1, text: 2}
    await feed.until_none(
        lambda feed: [name for name, count in wanted.items() if len(feed.of(name)) < count]
    )

    seen = feed.of(key)
    report.equal(
        "events: one for each change of a key, in order",
        [event["revision"] for event in seen],
        revisions,
    )
    report.equal(
        "events: their operations",
        [event["operation"] for event in seen],
        ["set", "set", "set", "set", "del"],
    )
    report.equal("events: their subjects", {event["rest"] for event in seen}, {key})
    report.equal("events: the bytes of a set", seen[0]["data"], b'{"n": 1}')
    report.equal("events: what a patch left", json.loads(seen[1]["data"]), {"n": 1, "m": 2})
    report.equal("events: what an incr left", json.loads(seen[2]["data"]), {"n": 2, "m": 2})
    report.equal("events: a del is empty", seen[4]["data"], b"")
    headers = seen[0]["headers"]
    report.equal("events: position", seen[0]["position"], position_of(key))
    report.check(
        "events: type and time of a set",
        headers["content-type"] == "application/json" and headers["kv-updated-at"],
        headers,
    )
    report.check("events: a touch tells the expiry", "kv-expires-at" in seen[3]["headers"], seen[3])
    report.equal("events: no event of a refusal", feed.of(f"{key}-refused"), [])
    [event] = feed.of(odd)
    report.equal(
        "events: a key that fits no subject",
        (event["rest"], json.loads(event["data"])),
        ("_", [1, 2]),
    )
    operations = [event["operation"] for event in feed.of(text)]
    report.equal("events: an expiry", operations, ["set", "expire"])
    report.check(
        "events: an expiry is empty and has the next revision",
        feed.of(text)[1]["data"] == b"",
        feed.of(text),
    )
    report.equal("events: from here on none is missing", feed.gaps, [])
    await feed.subscription.unsubscribe()


async def history(store: Store, report: Report) -> None:
    """Runs last: everything this program wrote must be there."""
    feed = await Feed.open(store, DeliverPolicy.ALL)

    def missing(feed: Feed) -> dict:
        lasts = feed.lasts
        return {
            f"revision {last} of position {place}": f"{lasts.get(place)} is the last event's"
            for place, last in store.seen.items()
            if lasts.get(place, 0) < last
        }

    await feed.until_none(missing)
    report.equal("events: of everything written none is missing or twice", feed.gaps, [])
    wrong = [
        event
        for event in feed.events
        if event["key"] is not None and position_of(event["key"]) != event["position"]
    ]
    report.equal("events: every key is in its position", wrong, [])
    await feed.subscription.unsubscribe()
