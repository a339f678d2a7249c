"""Checks of requests about one key: verbs, keys, values, headers, retries, reads, errors."""

from __future__ import annotations

import asyncio
import json
import time

from store import Report, Store, uuid7

# {"a":1} and {"n":1,"b":<bytes 00>} as MessagePack.
PACKED = b"\x81\xa1a\x01"
PACKED_BYTES = b"\x82\xa1n\x01\xa1b\xc4\x01\x00"


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
    reply = await store.ask(f"incr.{key}-at", b"\x82\xa4path\xa3a.b\xa2by\x05",
                            Content_Type="application/msgpack")
    report.equal("incr with a MessagePack payload", reply["value"], 3)
    await store.ask(f"set.{key}-max", b"9007199254740991")
    reply = await store.ask(f"incr.{key}-max")
    report.error("incr beyond what is counted exactly", reply, "bad-request")
    await store.ask(f"set.{key}-text", {"a": "x"})
    reply = await store.ask(f"incr.{key}-text", {"path": "a"})
    report.error("incr of a text attribute", reply, "bad-request")
    reply = await store.ask(f"incr.{key}-text", {"path": "a.b"})
    report.error("incr through a text attribute", reply, "bad-request")
    report.error("incr with an unknown member", await store.ask(f"incr.{key}", {"x": 1}),
                 "bad-request")
    report.error("incr by a text", await store.ask(f"incr.{key}", {"by": "1"}), "bad-request")


async def keys_by_subject(store: Store, report: Report, run: str) -> None:
    tokens = [run] + [f"t{index}" for index in range(11)]
    for count in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12):
        key = ".".join(tokens[:count])
        await store.ask(f"set.{key}", count)
        by_subject = await store.ask(f"get.{key}")
        by_payload = await store.ask("get", {"key": key})
        both = by_subject.body == by_payload.body == str(count).encode()
        report.check(f"a key of {count} tokens, by subject and by payload", both, by_payload)
    for name in ("zürich", "दिल्ली", "北京.上海", "😀", "$x", "a-b_c/d:e=f", "\u00a0",
                 "\u2028", "\ufeff", "\u0085", "e\u0301"):
        key = f"{run}.{name}"
        await store.ask(f"set.{key}", name)
        got = await store.ask("get", {"key": key})
        report.equal(f"a key by subject: {json.dumps(name)}", json.loads(got.body), name)
    reply = await store.ask(f"get.{run}.\u00e9")
    report.error("keys are not normalised", reply, "not-found")


async def keys_by_payload(store: Store, report: Report, run: str) -> None:
    names = ["two words", "line\nbreak", "tab\t", "a*", "*", ">", "a.>", ".", "..", ".a", "a.",
             "a..b", '"quoted"', "back\\slash", "\u0000", "\u007f", "😀 😀", "é", "%20"]
    for name in names:
        key = f"{run} {name}"
        report.error(f"an absent key by payload: {json.dumps(name)}",
                     await store.ask("get", {"key": key}), "not-found", key=key)
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


async def values(store: Store, report: Report, run: str) -> None:
    key = f"{run}.value"
    kept = [
        ("JSON with spaces, large numbers and a member twice", None, "application/json",
         b' {"a" : 1.0, "b":12345678901234567890, "a":[ ] }\n'),
        ("text", "text/plain; charset=utf-8", "text/plain", "grün\n".encode()),
        ("empty text", "text/plain", "text/plain", b""),
        ("raw bytes", "application/octet-stream", "application/octet-stream", bytes(range(256))),
        ("no bytes", "application/octet-stream", "application/octet-stream", b""),
        ("an unknown type", "image/png", "application/octet-stream", b"\x89PNG"),
        ("MessagePack", "application/msgpack", "application/msgpack", PACKED_BYTES),
        ("a JSON scalar", "application/json", "application/json", b"null"),
        ("256 KiB", "text/plain", "text/plain", b"x" * 262144),
    ]
    for what, sent, received, body in kept:
        await store.ask(f"set.{key}", body, **({} if sent is None else {"Content_Type": sent}))
        got = await store.ask(f"get.{key}")
        holds = got.body == body and got.headers["content-type"] == received
        report.check(f"kept byte for byte: {what}", holds, got, body[:80])
    refused = [
        ("not JSON", None, b"hello", "bad-request"),
        ("nothing as JSON", None, b"", "bad-request"),
        ("JSON with a byte order mark", None, b"\xef\xbb\xbf1", "bad-request"),
        ("JSON with a lone surrogate", None, b'"\\ud800"', "bad-request"),
        ("JSON that is not UTF-8", None, b'"\xff"', "bad-request"),
        ("text that is not UTF-8", "text/plain", b"\xff", "bad-request"),
        ("MessagePack cut short", "application/msgpack", b"\x82\xa1a", "bad-request"),
        ("a MessagePack extension", "application/msgpack", b"\xd4\x01\x00", "unsupported"),
        ("101 levels", None, b"[" * 101 + b"]" * 101, "limit-exceeded"),
    ]
    for what, sent, body, name in refused:
        headers = {} if sent is None else {"Content_Type": sent}
        report.error(f"refused: {what}", await store.ask(f"set.{key}", body, **headers), name)
    reply = await store.ask(f"set.{key}", b"hello")
    said = "text/plain" in reply.error["description"]
    report.check("the refusal of hello says what to do", said, reply)
    reply = await store.ask(f"set.{key}", b"x" * 262145, Content_Type="text/plain")
    report.error("a value of 262,145 bytes", reply, "too-large", limit=262144, size=262145)
    deep: object = 1
    for _ in range(9):
        deep = {"a": deep}
    report.error("9 levels of members", await store.ask(f"set.{key}", deep), "limit-exceeded",
                 limit="depth")
    many = {f"m{index}": index for index in range(257)}
    report.error("257 index entries", await store.ask(f"set.{key}", many), "limit-exceeded",
                 limit="index_entries")
    report.error("a path of 513 bytes", await store.ask(f"set.{key}", {"p" * 513: 1}),
                 "limit-exceeded", limit="path_bytes")


async def conversions(store: Store, report: Report, run: str) -> None:
    key = f"{run}.accept"
    packed, as_json = "application/msgpack", "application/json"
    await store.ask(f"set.{key}-j", {"a": 1})
    await store.ask(f"set.{key}-m", PACKED, Content_Type=packed)
    await store.ask(f"set.{key}-b", PACKED_BYTES, Content_Type=packed)
    await store.ask(f"set.{key}-t", b"text", Content_Type="text/plain")
    got = await store.ask(f"get.{key}-j", Accept=packed)
    report.check("Accept: JSON to MessagePack",
                 got.body == PACKED and got.headers["content-type"] == packed, got)
    got = await store.ask(f"get.{key}-m", Accept=as_json)
    report.check("Accept: MessagePack to JSON",
                 got.body == b'{"a":1}' and got.headers["content-type"] == as_json, got)
    report.equal("Accept: */*", (await store.ask(f"get.{key}-m", Accept="*/*")).body, PACKED)
    got = await store.ask(f"get.{key}-t", Accept="text/plain")
    report.equal("Accept: the type it has", got.body, b"text")
    reply = await store.ask(f"get.{key}-t", Accept=as_json)
    report.error("Accept: text to JSON", reply, "unsupported")
    reply = await store.ask(f"get.{key}-b", Accept=as_json)
    report.error("Accept: MessagePack with bytes to JSON", reply, "unsupported")
    reply = await store.ask(f"set.{key}-j", 1, Accept=packed)
    report.error("Accept: a write's reply as MessagePack", reply, "unsupported")
    await store.ask(f"patch.{key}-m", {"b": 2})
    got = await store.ask(f"get.{key}-m")
    report.equal("patch keeps MessagePack", got.headers["content-type"], packed)
    await store.ask(f"patch.{key}-m", b"\x81\xa1b\x03", Content_Type=packed)
    got = await store.ask(f"get.{key}-m", Accept=as_json)
    report.equal("a patch sent as MessagePack", json.loads(got.body), {"a": 1, "b": 3})
    report.error("patch of text", await store.ask(f"patch.{key}-t", {}), "unsupported")
    report.error("incr of text", await store.ask(f"incr.{key}-t"), "unsupported")
    await store.ask(f"set.{key}-n", b'{"n":12345678901234567890}')
    reply = await store.ask(f"patch.{key}-n", {"a": 1})
    report.error("patch of a number that floats lose", reply, "unsupported")
    reply = await store.ask(f"patch.{key}-j", b"x", Content_Type="text/plain")
    report.error("a patch of text", reply, "bad-request")


async def conditions(store: Store, report: Report, run: str) -> None:
    key = f"{run}.condition"
    first = await store.ask(f"set.{key}", 1, Kv_If_Revision=0)
    report.equal("If-Revision 0 of an absent key", first["created"], True)
    reply = await store.ask(f"set.{key}", 2, Kv_If_Revision=0)
    report.error("If-Revision 0 of a present key", reply, "conflict", revision=first.revision)
    second = await store.ask(f"set.{key}", 2, kv_if_revision=first.revision)
    report.check("If-Revision that holds, header in small letters", second.error is None, second)
    for verb, payload, more in (("set", b"3", {}), ("patch", b"{}", {}), ("incr", b"", {}),
                                ("touch", b"", {"Kv_TTL": "1h"}), ("del", b"", {})):
        reply = await store.ask(f"{verb}.{key}", payload, Kv_If_Revision=first.revision, **more)
        report.error(f"If-Revision of {verb} that does not hold", reply, "conflict",
                     revision=second.revision)
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
    report.equal("previous of del of nothing", (await store.ask(f"del.{key}", **ask))["previous"],
                 None)
    await store.ask(f"set.{key}", b"\x00", Content_Type="image/png")
    reply = await store.ask(f"set.{key}", 1, **ask)
    was = {name: reply["previous"].get(name) for name in ("value_base64", "content_type")}
    report.equal("previous of raw bytes", was,
                 {"value_base64": "AA==", "content_type": "application/octet-stream"})
    report.error("Kv-Return: next", await store.ask(f"set.{key}", 1, Kv_Return="next"),
                 "bad-request")


async def headers(store: Store, report: Report, run: str) -> None:
    key = f"{run}.headers"
    reply = await store.ask(f"set.{key}", 1, Kv_Tll="1h")
    report.error("an unknown Kv- header", reply, "bad-request")
    reply = await store.ask(f"set.{key}", 1, X_Other="1", Nats_TTL="bad", Nats_Expected_Stream="x")
    report.check("headers of others are ignored", reply.error is None, reply)
    report.error("a payload on get", await store.ask(f"get.{key}", b"1"), "bad-request")
    report.error("a payload on del", await store.ask(f"del.{key}", b"1"), "bad-request")
    report.error("Kv-TTL on del", await store.ask(f"del.{key}", Kv_TTL="1h"), "bad-request")
    report.error("Kv-If-Revision on get", await store.ask(f"get.{key}", Kv_If_Revision=1),
                 "bad-request")
    report.error("Kv-Read on set", await store.ask(f"set.{key}", 1, Kv_Read="stale"),
                 "bad-request")
    report.error("an unknown read level", await store.ask(f"get.{key}", Kv_Read="fast"),
                 "bad-request")
    body = {"key": key, "value": 1}
    reply = await store.ask("set", {**body, "ttl": "1h"}, Kv_TTL="60")
    report.error("a header and a member that differ", reply, "bad-request")
    reply = await store.ask("set", {**body, "ttl": "60"}, Kv_TTL="60")
    report.check("a header and a member that agree", reply.error is None, reply)
    reply = await store.ask("set", body, Kv_TTL="60", Kv_Return="previous")
    report.check("options of a keyless set as headers", "previous" in reply.json, reply)
    report.error("an unknown member", await store.ask("set", {**body, "tll": "60"}), "bad-request")
    report.error("a keyless set without a value", await store.ask("set", {"key": key}),
                 "bad-request")
    report.error("a keyless request that is no JSON", await store.ask("get", b"hello"),
                 "bad-request")
    reply = await store.ask("set", body, Content_Type="text/plain")
    report.error("a keyless set with Content-Type text", reply, "bad-request")
    reply = await store.ask("set", {"key": key, "value": "x", "content_type": "text/plain"})
    got = await store.ask("get", {"key": key})
    report.check("a keyless set of text",
                 got.body == b"x" and got.headers["content-type"] == "text/plain", got)
    await store.ask("set", {"key": key, "value": {"a": 1}, "content_type": "application/msgpack"})
    report.equal("a keyless set of MessagePack", (await store.ask("get", {"key": key})).body, PACKED)
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
    for text, seconds in (("90", 90), ("1h30m", 5400), ("1.5s", 1.5), ("2500ms", 2.5), ("+2m", 120)):
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


async def request_ids(store: Store, report: Report, run: str) -> None:
    key = f"{run}.id"
    for form, ident in (("a UUIDv7", uuid7()), ("any text", f"{run} ünïque")):
        first = await store.ask(f"incr.{key}", {"by": 5}, Kv_Request_Id=ident)
        again = await store.ask(f"incr.{key}", {"by": 5}, Kv_Request_Id=ident)
        report.equal(f"a repeated id, {form}: the first outcome", again.json, first.json)
        by_payload = {"key": key, "by": 5, "request_id": ident}
        again = await store.ask("incr", by_payload)
        report.equal(f"a repeated id, {form}: by payload too", again.json, first.json)
        got = await store.ask(f"get.{key}")
        report.equal(f"a repeated id, {form}: done once", int(got.body), first["value"])
        reply = await store.ask(f"incr.{key}", {"by": 6}, Kv_Request_Id=ident)
        report.error(f"a repeated id, {form}: for something else", reply, "bad-request")
    ident = uuid7()
    first = await store.ask(f"set.{key}", 1, Kv_Request_Id=ident, Kv_Return="previous")
    again = await store.ask(f"set.{key}", 1, Kv_Request_Id=ident, Kv_Return="previous")
    report.check("a repeat has no previous",
                 "previous" in first.json and "previous" not in again.json, again)
    ident = uuid7()
    reply = await store.ask(f"set.{key}", 2, Kv_Request_Id=ident, Kv_If_Revision=0)
    report.error("a conflict with an id", reply, "conflict")
    await store.ask(f"del.{key}")
    reply = await store.ask(f"set.{key}", 2, Kv_Request_Id=ident, Kv_If_Revision=0)
    report.error("a conflict is repeated, although it would hold now", reply, "conflict")
    reply = await store.ask(f"set.{key}", 3, Kv_Request_Id=uuid7(120))
    report.error("a UUIDv7 of two minutes ago", reply, "in-doubt", retryable=False)
    report.error("and it was not done", await store.ask(f"get.{key}"), "not-found")
    reply = await store.ask(f"set.{key}", 3, Kv_Request_Id=uuid7(-60))
    report.error("a UUIDv7 of a minute ahead", reply, "bad-request")
    reply = await store.ask(f"set.{key}", 3, Kv_Request_Id=uuid7(30))
    report.check("a UUIDv7 of half a minute ago", reply.error is None, reply)
    for what, ident in (("an empty id", ""), ("an id of 129 bytes", "x" * 129)):
        reply = await store.ask(f"set.{key}", 3, Kv_Request_Id=ident)
        report.error(what, reply, "bad-request")
    got = await store.ask(f"get.{key}", Kv_Request_Id=uuid7())
    report.equal("an id on get changes nothing", got.body, b"3")


async def read_levels(store: Store, report: Report, run: str) -> None:
    key = f"{run}.read"
    for count in range(20):
        written = await store.ask(f"set.{key}", count)
        got = await store.ask(f"get.{key}")
        if int(got.body) != count:
            report.equal("a linearizable read sees the write before it", got.body, count)
        got = await store.ask(f"get.{key}", Kv_Read="session",
                              Kv_Min_Revision=store.seen[written["position"]])
        if int(got.body) != count:
            report.equal("a session sees its own writes", got.body, count)
    report.equal("linearizable and session reads see each write before them", got.body, b"19")
    got = await store.ask(f"get.{key}", Kv_Read="stale")
    report.check("a stale read answers", got.error is None, got)
    got = await store.ask("get", {"key": key, "read": "session", "min_revision": written.revision})
    report.equal("a session by payload", got.body, b"19")
    reply = await store.ask(f"get.{key}", Kv_Read="session", Kv_Min_Revision=10**9)
    report.error("a session that waits in vain", reply, "unavailable")
    reply = await store.ask(f"get.{key}", Kv_Read="stale", Kv_Min_Revision=1)
    report.error("a stale read with a minimum", reply, "bad-request")
    await store.ask(f"del.{key}")
    report.error("a deleted key, linearizable", await store.ask(f"get.{key}"), "not-found")


def milliseconds(later: str, earlier: str) -> float:
    """Between two times as replies write them."""

    def of(text: str) -> float:
        whole, _, fraction = text.rstrip("Z").partition(".")
        return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 1000 + int(fraction)

    return of(later) - of(earlier)


ALL = (verbs, increments, keys_by_subject, keys_by_payload, tags, values, conversions, conditions,
       previous, headers, times_to_live, expiry, request_ids, read_levels)
