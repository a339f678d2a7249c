"""Checks of the verbs about one key, their conditions, times to live and headers."""

from __future__ import annotations

import asyncio
import json
import time

from store import Report, Store


async def verbs(store: Store, report: Report, run: str) -> None:
    key = f"{run}.verbs"
    reply = await store.ask(f"set.{key}", {"name": "Delhi", "geo": {"lat": 28}})
    report.equal("set of an absent key: created", reply["created"], True)
    got = await store.ask(f"get.{key}")
    report.equal("get: the bytes that were set", json.loads(got.body)["name"], "Delhi")
    wanted = {"kv-revision", "kv-position", "kv-updated-at", "content-type"}
    report.equal("get: its headers", set(got.headers), wanted)
    again = await store.ask(f"set.{key}", {"name": "Delhi", "geo": {"lat": 28}, "x": 1})
    report.equal("set of a present key: not created", again["created"], False)
    report.check("revisions rise", again.revision > reply.revision, again)
    patched = await store.ask(f"patch.{key}", {"x": None, "geo": {"lon": 77}, "n": 1})
    report.equal("patch of a present key: not created", patched["created"], False)
    value = json.loads((await store.ask(f"get.{key}")).body)
    merged = {"name": "Delhi", "geo": {"lat": 28, "lon": 77}, "n": 1}
    report.equal("patch merges, and null removes", value, merged)
    reply = await store.ask(f"patch.{key}-new", {"a": {"b": None, "c": 1}})
    report.equal("patch of an absent key: created", reply["created"], True)
    got = await store.ask(f"get.{key}-new")
    report.equal("patch of an absent key: from {}", json.loads(got.body), {"a": {"c": 1}})
    reply = await store.ask(f"del.{key}")
    report.check("del: existed", reply["existed"] is True and reply.revision > 0, reply)
    reply = await store.ask(f"del.{key}")
    report.check(
        "del of nothing: no revision", reply["existed"] is False and reply.revision is None, reply
    )
    report.error("get of a deleted key", await store.ask(f"get.{key}"), "not-found")
    reply = await store.ask(f"set.{key}", 1)
    report.check("a key set again goes on rising", reply.revision > patched.revision + 1, reply)


async def increments(store: Store, report: Report, run: str) -> None:
    key = f"{run}.count"
    report.equal("incr of an absent key", (await store.ask(f"incr.{key}"))["value"], 1)
    report.equal("incr by", (await store.ask(f"incr.{key}", {"by": 2.5}))["value"], 3.5)
    reply = await store.ask(f"incr.{key}-at", {"path": "a.b", "by": -2})
    report.equal("incr at a path", reply["value"], -2)
    got = await store.ask(f"get.{key}-at")
    report.equal("incr makes the objects on the way", json.loads(got.body), {"a": {"b": -2}})
    reply = await store.ask(
        f"incr.{key}-at", b"\x82\xa4path\xa3a.b\xa2by\x05", Content_Type="application/msgpack"
    )
    report.equal("incr with a MessagePack payload", reply["value"], 3)
    await store.ask(f"set.{key}-max", b"9007199254740991")
    reply = await store.ask(f"incr.{key}-max")
    report.error("incr beyond what is counted exactly", reply, "bad-request")
    await store.ask(f"set.{key}-text", {"a": "x"})
    reply = await store.ask(f"incr.{key}-text", {"path": "a"})
    report.error("incr of a text attribute", reply, "bad-request")
    reply = await store.ask(f"incr.{key}-text", {"path": "a.b"})
    report.error("incr through a text attribute", reply, "bad-request")
    report.error(
        "incr with an unknown member", await store.ask(f"incr.{key}", {"x": 1}), "bad-request"
    )
    report.error("incr by a text", await store.ask(f"incr.{key}", {"by": "1"}), "bad-request")


async def conditions(store: Store, report: Report, run: str) -> None:
    key = f"{run}.condition"
    first = await store.ask(f"set.{key}", 1, Kv_If_Revision=0)
    report.equal("If-Revision 0 of an absent key", first["created"], True)
    reply = await store.ask(f"set.{key}", 2, Kv_If_Revision=0)
    report.error("If-Revision 0 of a present key", reply, "conflict", revision=first.revision)
    second = await store.ask(f"set.{key}", 2, kv_if_revision=first.revision)
    report.check("If-Revision that holds, header in small letters", second.error is None, second)
    for verb, payload, more in (
        ("set", b"3", {}),
        ("patch", b"{}", {}),
        ("incr", b"", {}),
        ("touch", b"", {"Kv_TTL": "1h"}),
        ("del", b"", {}),
    ):
        reply = await store.ask(f"{verb}.{key}", payload, Kv_If_Revision=first.revision, **more)
        report.error(
            f"If-Revision of {verb} that does not hold", reply, "conflict", revision=second.revision
        )
    reply = await store.ask(f"del.{key}-none", Kv_If_Revision=7)
    report.error("If-Revision of an absent key", reply, "conflict", revision=0)
    got = await store.ask(f"get.{key}")
    report.equal("refusals took no revision", got.revision, second.revision)
    reply = await store.ask(f"incr.{key}", Kv_If_Revision=second.revision)
    report.equal("If-Revision of incr that holds", reply["value"], 3)
    for text in ("-1", "x", "1.5", ""):
        reply = await store.ask(f"set.{key}", 1, Kv_If_Revision=text)
        report.error(f"If-Revision {text!r}", reply, "bad-request")


async def previous(store: Store, report: Report, run: str) -> None:
    key = f"{run}.previous"
    ask = {"Kv_Return": "previous"}
    reply = await store.ask(f"set.{key}", {"n": 1}, **ask)
    report.equal("previous of an absent key", reply["previous"], None)
    revision = reply.revision
    for verb, payload, more, value in (
        ("set", b'{"n":2}', {}, {"n": 1}),
        ("patch", b'{"n":3}', {}, {"n": 2}),
        ("incr", b'{"path":"n"}', {}, {"n": 3}),
        ("touch", b"", {"Kv_TTL": "1h"}, {"n": 4}),
        ("del", b"", {}, {"n": 4}),
    ):
        reply = await store.ask(f"{verb}.{key}", payload, **ask, **more)
        wanted = {"value": value, "revision": revision}
        report.equal(f"previous of {verb}", reply["previous"], wanted)
        revision = reply.revision
    report.equal(
        "previous of del of nothing", (await store.ask(f"del.{key}", **ask))["previous"], None
    )
    await store.ask(f"set.{key}", b"\x00", Content_Type="image/png")
    reply = await store.ask(f"set.{key}", 1, **ask)
    was = {name: reply["previous"].get(name) for name in ("value_base64", "content_type")}
    report.equal(
        "previous of raw bytes",
        was,
        {"value_base64": "AA==", "content_type": "application/octet-stream"},
    )
    report.error(
        "Kv-Return: next", await store.ask(f"set.{key}", 1, Kv_Return="next"), "bad-request"
    )


async def headers(store: Store, report: Report, run: str) -> None:
    key = f"{run}.headers"
    reply = await store.ask(f"set.{key}", 1, Kv_Tll="1h")
    report.error("an unknown Kv- header", reply, "bad-request")
    reply = await store.ask(f"set.{key}", 1, X_Other="1", Nats_TTL="bad", Nats_Expected_Stream="x")
    report.check("headers of others are ignored", reply.error is None, reply)
    report.error("a payload on get", await store.ask(f"get.{key}", b"1"), "bad-request")
    report.error("a payload on del", await store.ask(f"del.{key}", b"1"), "bad-request")
    report.error("Kv-TTL on del", await store.ask(f"del.{key}", Kv_TTL="1h"), "bad-request")
    report.error(
        "Kv-If-Revision on get", await store.ask(f"get.{key}", Kv_If_Revision=1), "bad-request"
    )
    report.error("Kv-Read on set", await store.ask(f"set.{key}", 1, Kv_Read="stale"), "bad-request")
    report.error(
        "an unknown read level", await store.ask(f"get.{key}", Kv_Read="fast"), "bad-request"
    )


async def keyless(store: Store, report: Report, run: str) -> None:
    key = f"{run}.keyless"
    body = {"key": key, "value": 1}
    reply = await store.ask("set", {**body, "ttl": "1h"}, Kv_TTL="60")
    report.error("a header and a member that differ", reply, "bad-request")
    reply = await store.ask("set", {**body, "ttl": "60"}, Kv_TTL="60")
    report.check("a header and a member that agree", reply.error is None, reply)
    reply = await store.ask("set", body, Kv_TTL="60", Kv_Return="previous")
    report.check("options of a keyless set as headers", "previous" in reply.json, reply)
    report.error("an unknown member", await store.ask("set", {**body, "tll": "60"}), "bad-request")
    report.error(
        "a keyless set without a value", await store.ask("set", {"key": key}), "bad-request"
    )
    report.error(
        "a keyless request that is no JSON", await store.ask("get", b"hello"), "bad-request"
    )
    reply = await store.ask("set", body, Content_Type="text/plain")
    report.error("a keyless set with Content-Type text", reply, "bad-request")
    reply = await store.ask("set", {"key": key, "value": "x", "content_type": "text/plain"})
    got = await store.ask("get", {"key": key})
    report.check(
        "a keyless set of text",
        got.body == b"x" and got.headers["content-type"] == "text/plain",
        got,
    )
    await store.ask("set", {"key": key, "value": {"a": 1}, "content_type": "application/msgpack"})
    report.equal(
        "a keyless set of MessagePack",
        (await store.ask("get", {"key": key})).body,
        b"\x81\xa1a\x01",
    )
    await store.ask("set", {"key": key, "value_base64": "AAE=", "content_type": "x/y"})
    report.equal("a keyless set of bytes", (await store.ask("get", {"key": key})).body, b"\0\1")
    reply = await store.ask("set", {"key": key, "value_base64": "A-_"})
    report.error("a keyless set of what is no base64", reply, "bad-request")
    await store.ask("set", b'{"key":"%s", "value": [1 , 2.0] }' % key.encode())
    got = await store.ask("get", {"key": key})
    report.equal("a keyless value keeps its source bytes", got.body, b"[1 , 2.0]")
    refused = await store.ask("set", {"key": key, "value": 1, "if_revision": 0})
    report.error("if_revision as a member", refused, "conflict", revision=got.revision)


async def times_to_live(store: Store, report: Report, run: str) -> None:
    key = f"{run}.ttl"
    for text, seconds in (
        ("90", 90),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("2500ms", 2.5),
        ("+2m", 120),
    ):
        await store.ask(f"set.{key}", 1, Kv_TTL=text)
        got = await store.ask(f"get.{key}")
        stamps = [got.headers["kv-expires-at"], got.headers["kv-updated-at"]]
        report.check(f"Kv-TTL {text}", abs(milliseconds(*stamps) - seconds * 1000) <= 1, got)
    await store.ask(f"patch.{key}", {"a": 1})
    got = await store.ask(f"get.{key}")
    report.check("a patch keeps the time to live", "kv-expires-at" in got.headers, got)
    await store.ask(f"incr.{key}", {"path": "n"}, Kv_TTL="NEVER")
    got = await store.ask(f"get.{key}")
    report.check("an incr with never clears it", "kv-expires-at" not in got.headers, got)
    reply = await store.ask(f"touch.{key}", Kv_TTL="1h")
    got = await store.ask(f"get.{key}")
    report.equal("touch says when it expires", got.headers["kv-expires-at"], reply["expires_at"])
    report.equal("touch takes a revision", got.revision, reply.revision)
    await store.ask(f"set.{key}", 1)
    got = await store.ask(f"get.{key}")
    report.check("a set without it clears it", "kv-expires-at" not in got.headers, got)
    reply = await store.ask(f"touch.{key}", Kv_TTL="never")
    report.equal("touch with never", reply["expires_at"], None)
    report.error("touch without a time to live", await store.ask(f"touch.{key}"), "bad-request")
    reply = await store.ask(f"touch.{key}-none", Kv_TTL="1h")
    report.error("touch of an absent key", reply, "not-found")
    for text in ("0", "0.9s", "999ms", "-5", "1d", "1 h", "", "soon", "1e3", "876001h"):
        reply = await store.ask(f"set.{key}", 1, Kv_TTL=text)
        report.error(f"Kv-TTL {text!r}", reply, "bad-request")


async def expiry(store: Store, report: Report, run: str) -> None:
    key = f"{run}.expiry"
    await store.ask(f"set.{key}", {"run": f"{run}-expiry"}, Kv_TTL="1")
    first = await store.ask(f"get.{key}")
    report.check("a record lives until it expires", first.error is None, first)
    where = {"where": {"run": f"{run}-expiry"}}
    report.equal("and is counted", (await store.ask("count", where))["count"], 1)
    began = time.monotonic()
    while (await store.ask(f"get.{key}")).error is None and time.monotonic() < began + 10:
        await asyncio.sleep(0.05)
    report.error("it expires", await store.ask(f"get.{key}"), "not-found")
    report.equal("and is not counted", (await store.ask("count", where))["count"], 0)
    reply = await store.ask(f"set.{key}", 1, Kv_If_Revision=0)
    report.equal("and is absent for a condition", reply["created"], True)
    report.check("an expiry takes a revision", reply.revision > first.revision + 1, reply)


def milliseconds(later: str, earlier: str) -> float:
    """Between two times as replies write them."""

    def of(text: str) -> float:
        whole, _, fraction = text.rstrip("Z").partition(".")
        return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 1000 + int(fraction)

    return of(later) - of(earlier)


ALL = (verbs, increments, conditions, previous, headers, keyless, times_to_live, expiry)
