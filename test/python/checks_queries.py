"""Checks of keys, find and count: filters, pages, and the proof that all was covered."""

from __future__ import annotations

import base64
import hashlib

from store import Broken, Report, Store

CITIES = [
    ("delhi", {"country": "IN", "population": 32900000, "tags": ["capital", "big"]}),
    ("mumbai", {"country": "IN", "population": 21300000, "tags": ["big", "port"]}),
    ("agra", {"country": "IN", "population": 1800000, "tags": []}),
    ("paris", {"country": "FR", "population": 2100000, "tags": ["capital"]}),
    ("lyon", {"country": "FR", "population": 520000, "twin": None}),
    ("nowhere", {"country": None, "population": "unknown"}),
    ("atlantis", {"geo": {"lat": -30.5, "lon": 12}, "a.b": 1, "$odd": True}),
]


async def queries(store: Store, report: Report, run: str) -> None:
    for name, value in CITIES:
        await store.ask("set", {"key": f"{run}.city {name}", "value": {**value, "run": run}})
    tests = [
        ("equality", {"country": "IN"}, "agra delhi mumbai"),
        ("$eq", {"country": {"$eq": "FR"}}, "lyon paris"),
        ("$in", {"country": {"$in": ["FR", "XX"]}}, "lyon paris"),
        ("an empty $in", {"country": {"$in": []}}, ""),
        ("$gt", {"population": {"$gt": 2100000}}, "delhi mumbai"),
        ("$gte", {"population": {"$gte": 2100000}}, "delhi mumbai paris"),
        ("$lt", {"population": {"$lt": 1800000}}, "lyon"),
        ("$lte", {"population": {"$lte": 1800000}}, "agra lyon"),
        ("two bounds", {"population": {"$gt": 520000, "$lt": 2100000}}, "agra"),
        ("$gt of text stays in its type", {"population": {"$gt": "a"}}, "nowhere"),
        ("$prefix", {"population": {"$prefix": "unk"}}, "nowhere"),
        ("$exists true", {"geo": {"$exists": True}}, "atlantis"),
        ("$exists false", {"population": {"$exists": False}}, "atlantis"),
        ("null matches missing", {"country": None}, "atlantis nowhere"),
        ("$in with null", {"country": {"$in": [None, "FR"]}}, "atlantis lyon nowhere paris"),
        ("an element of an array", {"tags": "capital"}, "delhi paris"),
        ("two elements of an array", {"$and": [{"tags": "big"}, {"tags": "port"}]}, "mumbai"),
        ("a nested path", {"geo.lat": {"$lt": 0}}, "atlantis"),
        ("an escaped dot", {"a\\.b": 1}, "atlantis"),
        ("an escaped dollar", {"\\$odd": True}, "atlantis"),
        ("$and", {"$and": [{"country": "IN"}, {"population": {"$lt": 2e7}}]}, "agra"),
        ("$key equality", {"$key": f"{run}.city lyon"}, "lyon"),
        ("$key prefix", {"$key": {"$prefix": f"{run}.city a"}}, "agra atlantis"),
        ("$key range", {"$key": {"$gte": f"{run}.city n"}}, "nowhere paris"),
    ]
    for what, where, names in tests:
        both = {"$and": [where, {"run": run}]}
        reply = await store.ask("find", {"where": both})
        found = sorted(item["key"].partition(" ")[2] for item in reply["items"])
        report.equal(f"find: {what}", found, names.split())
        count = await store.ask("count", {"where": both})
        report.equal(f"count: {what}", count["count"], len(names.split()))


async def query_forms(store: Store, report: Report, run: str) -> None:
    where = {"run": run, "$key": f"{run}.city delhi"}
    reply = await store.ask("find", {"where": where})
    item = reply["items"][0]
    holds = set(item) == {"key", "value", "revision"} and reply["complete"] is True
    report.check("find: an item", holds and item["value"]["population"] == 32900000, item)
    reply = await store.ask("find", {"where": where, "select": ["population", "geo.lat"]})
    report.equal("find: select", reply["items"][0]["value"], {"population": 32900000})
    reply = await store.ask("find", {"where": where, "select": []})
    report.equal("find: keys only", set(reply["items"][0]), {"key", "revision"})
    for level in ("stale", "session", "linearizable"):
        reply = await store.ask("count", {"where": {"run": run}}, Kv_Read=level)
        report.check(f"count: Kv-Read {level}", reply.error is None, reply)
    refused = [
        ("no JSON", b"hello", "bad-request"),
        ("an unknown member", {"were": {}}, "bad-request"),
        ("an unknown operator", {"where": {"a": {"$foo": 1}}}, "bad-request"),
        ("a limit of 0", {"limit": 0}, "bad-request"),
        ("a limit of 1,001", {"limit": 1001}, "limit-exceeded"),
        ("1,001 values of $in", {"where": {"a": {"$in": [1] * 1001}}}, "limit-exceeded"),
        ("order", {"order": ["a"]}, "unsupported"),
        ("a whole object", {"where": {"a": {"b": 1}}}, "unsupported"),
        ("a whole array", {"where": {"a": [1]}}, "unsupported"),
        ("what is no cursor", {"cursor": "abc"}, "bad-request"),
    ]
    later = {
        "$ne": 1,
        "$nin": [1],
        "$not": {"$gt": 1},
        "$all": [1],
        "$size": 1,
        "$elemMatch": {"a": 1},
        "$regex": "a",
    }
    refused += [
        (name, {"where": {"a": {name: operand}}}, "unsupported") for name, operand in later.items()
    ]
    refused += [(name, {"where": {name: [{"a": 1}]}}, "unsupported") for name in ("$or", "$nor")]
    for what, body, name in refused:
        report.error(f"find refuses {what}", await store.ask("find", body), name)
    reply = await store.ask("find", {"where": {}}, Kv_Tll="1")
    report.error("find refuses an unknown header", reply, "bad-request")
    for verb in ("distinct", "aggregate", "explain"):
        report.error(f"{verb} is not built", await store.ask(verb, {}), "unsupported")


async def pages_of(store: Store, verb: str, body: dict, member: str) -> list:
    """All rows, following cursors; each page's rows in a list."""
    pages = []
    cursor = None
    while True:
        reply = await store.ask(verb, body if cursor is None else {**body, "cursor": cursor})
        pages.append(reply[member])
        cursor = reply.json.get("cursor")
        if cursor is None:
            return pages
        if len(pages) > 10000:
            raise Broken("a last page", reply)


async def cursors(store: Store, report: Report, run: str) -> None:
    prefix = f"{run}.page"
    ops = [
        {"op": "set", "key": f"{prefix}.{n:03}", "value": {"page": run, "n": n % 7}}
        for n in range(250)
    ]
    await store.ask("batch", {"ops": ops})
    keys = [op["key"] for op in ops]
    pages = await pages_of(store, "keys", {"prefix": prefix, "limit": 100}, "keys")
    rows = [key for page in pages for key in page]
    report.equal("keys: all of a prefix in order", rows, keys)
    report.check("keys: no page above its limit", max(map(len, pages)) <= 100, pages)
    for what, where in (
        ("an equality", {"page": run}),
        ("a range", {"page": run, "n": {"$gte": 0}}),
        ("only a range", {"n": {"$gte": 2, "$lte": 5}, "page": {"$prefix": run}}),
    ):
        body = {"where": where, "limit": 33, "select": []}
        pages = await pages_of(store, "find", body, "items")
        found = [item["key"] for page in pages for item in page]
        report.equal(f"find: pages of {what}, none twice", len(found), len(set(found)))
        wanted = {
            key
            for key, op in zip(keys, ops)
            if what != "only a range" or 2 <= op["value"]["n"] <= 5
        }
        report.equal(f"find: pages of {what}, none missing", set(found), wanted)
    first = await store.ask("find", {"where": {"page": run}, "limit": 10})
    cursor = first["cursor"]
    reply = await store.ask("find", {"where": {"page": run, "n": 1}, "cursor": cursor})
    report.error("a cursor of another query", reply, "bad-request")
    wider = await store.ask("find", {"where": {"page": run}, "cursor": cursor, "limit": 1000})
    report.equal("a cursor with another limit", len(wider["items"]), 240)
    reply = await store.ask("find", {"where": {"page": run}, "cursor": of_another_format(cursor)})
    report.error("a cursor of another format", reply, "cursor-expired")
    reply = await store.ask("keys", {"prefix": "x" * 1025})
    report.error("keys: a prefix longer than keys are", reply, "too-large")


def of_another_format(cursor: str) -> str:
    """What a later version might give out. The page says nothing of what is in a cursor; this is
    the one place that knows, because no client can come by such a cursor in another way."""
    data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    body = bytes([data[0] + 1]) + data[1:-4]
    made = body + hashlib.sha256(body).digest()[:4]
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


async def certificates(store: Store, report: Report, run: str) -> None:
    ring = await store.ask("ring")
    every = list(range(ring["position_count"]))
    shards = {shard["shard"] for shard in ring["shards"]}
    owned = [place for shard in ring["shards"] for place in expand(shard["positions"])]
    report.equal("ring: each position in one shard", sorted(owned), every)
    for verb, body in (("find", {"where": {"run": run}}), ("count", {}), ("find", {"limit": 1})):
        reply = await store.ask(verb, {**body, "certificate": True})
        claims = [place for each in reply["certificate"] for place in expand(each["positions"])]
        report.equal(f"{verb}: the certificate has each position once", sorted(claims), every)
        names = {each["shard"] for each in reply["certificate"]}
        holds = names <= shards and all(
            each["sequence"] > 0 and each["epoch"] == ring["epoch"] for each in reply["certificate"]
        )
        report.check(f"{verb}: the certificate's shards, epoch and sequences", holds, reply)
        report.equal(f"{verb}: complete", reply["complete"], True)
    reply = await store.ask("find", {"where": {"run": run}, "partial": True})
    report.check(
        "find: partial, with nothing missing",
        reply["complete"] is True and "missing" not in reply.json,
        reply,
    )


def expand(ranges: list) -> list:
    places = []
    for text in ranges:
        first, _, last = text.partition("-")
        places += range(int(first), int(last or first) + 1)
    return places


ALL = (queries, query_forms, cursors, certificates)
