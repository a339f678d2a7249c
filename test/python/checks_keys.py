"""Checks of keys: in subjects and in payloads, with tags, and what is no key."""

from __future__ import annotations

import json
from pathlib import Path

from store import Report, Store, position_of

VECTORS = Path(__file__).parent.parent / "protocol" / "position-vectors.json"


async def keys_by_subject(store: Store, report: Report, run: str) -> None:
    tokens = [run] + [f"t{index}" for index in range(11)]
    for count in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12):
        key = ".".join(tokens[:count])
        await store.ask(f"set.{key}", count)
        by_subject = await store.ask(f"get.{key}")
        by_payload = await store.ask("get", {"key": key})
        both = by_subject.body == by_payload.body == str(count).encode()
        report.check(f"a key of {count} tokens, by subject and by payload", both, by_payload)
    for name in (
        "zürich",
        "दिल्ली",
        "北京.上海",
        "😀",
        "$x",
        "a-b_c/d:e=f",
        "\u00a0",
        "\u2028",
        "\ufeff",
        "\u0085",
        "e\u0301",
    ):
        key = f"{run}.{name}"
        await store.ask(f"set.{key}", name)
        got = await store.ask("get", {"key": key})
        report.equal(f"a key by subject: {json.dumps(name)}", json.loads(got.body), name)
    reply = await store.ask(f"get.{run}.\u00e9")
    report.error("keys are not normalised", reply, "not-found")


async def keys_by_payload(store: Store, report: Report, run: str) -> None:
    names = [
        "two words",
        "line\nbreak",
        "tab\t",
        "a*",
        "*",
        ">",
        "a.>",
        ".",
        "..",
        ".a",
        "a.",
        "a..b",
        '"quoted"',
        "back\\slash",
        "\u0000",
        "\u007f",
        "😀 😀",
        "é",
        "%20",
    ]
    for name in names:
        key = f"{run} {name}"
        report.error(
            f"an absent key by payload: {json.dumps(name)}",
            await store.ask("get", {"key": key}),
            "not-found",
            key=key,
        )
        reply = await store.ask("set", {"key": key, "value": {"name": name}})
        got = await store.ask("get", {"key": key})
        holds = reply["created"] and json.loads(got.body) == {"name": name}
        report.check(f"a key by payload: {json.dumps(name)}", holds, got)
    longest = (run + " " + "é" * 512)[: 1024 - 512]
    longest += "x" * (1024 - len(longest.encode()))
    await store.ask("set", {"key": longest, "value": 1})
    got = await store.ask("get", {"key": longest})
    report.equal("a key of 1,024 bytes", got.body, b"1")
    reply = await store.ask("set", {"key": longest + "x", "value": 1})
    report.error("a key of 1,025 bytes", reply, "too-large", limit=1024, size=1025)
    reply = await store.ask(f"get.{'k' * 1025}")
    report.error("a key of 1,025 bytes by subject", reply, "too-large", limit=1024, size=1025)
    report.error("an empty key", await store.ask("get", {"key": ""}), "bad-request")
    report.error("no key", await store.ask("get", {}), "bad-request")
    reply = await store.ask("get", b'{"key":"\\ud800"}')
    report.error("a key with a lone surrogate", reply, "bad-request")
    key = f"{run}.both"
    await store.ask(f"set.{key}", 1)
    reply = await store.ask("patch", {"key": key, "patch": {"a": 1}})
    report.equal("patch by payload", reply["created"], False)
    reply = await store.ask("incr", {"key": key, "path": "a", "by": 4})
    report.equal("incr by payload", reply["value"], 5)
    reply = await store.ask("touch", {"key": key, "ttl": "1h"})
    report.check("touch by payload", reply["expires_at"], reply)
    got = await store.ask(f"get.{key}")
    report.equal("both ways reach one record", json.loads(got.body), {"a": 5})
    report.equal("del by payload", (await store.ask("del", {"key": key}))["existed"], True)


async def tags(store: Store, report: Report, run: str) -> None:
    for name in ("{%s}.name", "order.{%s}", "a.b.c.{%s}.d", "{%s}", "{%s}{other}"):
        key = name % run
        await store.ask(f"set.{key}", {"by": "subject"})
        got = await store.ask("get", {"key": key})
        report.equal(f"a tagged key by both ways: {name}", json.loads(got.body), {"by": "subject"})
        await store.ask("set", {"key": key, "value": {"by": "payload"}})
        got = await store.ask(f"get.{key}")
        report.equal(f"and back: {name}", json.loads(got.body), {"by": "payload"})
        report.equal(f"del by subject: {name}", (await store.ask(f"del.{key}"))["existed"], True)


async def positions(_store: Store, report: Report, _run: str) -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    wrong = [
        vector["key"]
        for vector in vectors["keys"]
        if position_of(vector["key"], vectors["position_count"]) != vector["position"]
    ]
    report.equal(f"positions of {len(vectors['keys'])} keys, as the page computes them", wrong, [])


ALL = (positions, keys_by_subject, keys_by_payload, tags)
