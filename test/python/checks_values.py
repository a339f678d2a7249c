"""Checks of values: kept byte for byte, refused, converted."""

from __future__ import annotations

import json

from store import Report, Store

# {"a":1} and {"n":1,"b":<bytes 00>} as MessagePack.
PACKED = b"\x81\xa1a\x01"
PACKED_BYTES = b"\x82\xa1n\x01\xa1b\xc4\x01\x00"


async def values(store: Store, report: Report, run: str) -> None:
    key = f"{run}.value"
    kept = [
        (
            "JSON with spaces, large numbers and a member twice",
            None,
            "application/json",
            b' {"a" : 1.0, "b":12345678901234567890, "a":[ ] }\n',
        ),
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
    report.error(
        "9 levels of members", await store.ask(f"set.{key}", deep), "limit-exceeded", limit="depth"
    )
    many = {f"m{index}": index for index in range(257)}
    report.error(
        "257 index entries",
        await store.ask(f"set.{key}", many),
        "limit-exceeded",
        limit="index_entries",
    )
    report.error(
        "a path of 513 bytes",
        await store.ask(f"set.{key}", {"p" * 513: 1}),
        "limit-exceeded",
        limit="path_bytes",
    )


async def conversions(store: Store, report: Report, run: str) -> None:
    key = f"{run}.accept"
    packed, as_json = "application/msgpack", "application/json"
    await store.ask(f"set.{key}-j", {"a": 1})
    await store.ask(f"set.{key}-m", PACKED, Content_Type=packed)
    await store.ask(f"set.{key}-b", PACKED_BYTES, Content_Type=packed)
    await store.ask(f"set.{key}-t", b"text", Content_Type="text/plain")
    got = await store.ask(f"get.{key}-j", Accept=packed)
    report.check(
        "Accept: JSON to MessagePack",
        got.body == PACKED and got.headers["content-type"] == packed,
        got,
    )
    got = await store.ask(f"get.{key}-m", Accept=as_json)
    report.check(
        "Accept: MessagePack to JSON",
        got.body == b'{"a":1}' and got.headers["content-type"] == as_json,
        got,
    )
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


ALL = (values, conversions)
