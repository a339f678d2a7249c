"""Checks of requests about many keys or none: batches, queries, cursors, ring, status, services."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json

from nats.errors import NoRespondersError

from store import Broken, Report, Store, check_error, position_of, uuid7

CITIES = [
    ("delhi", {"country": "IN", "population": 32900000, "tags": ["capital", "big"]}),
    ("mumbai", {"country": "IN", "population": 21300000, "tags": ["big", "port"]}),
    ("agra", {"country": "IN", "population": 1800000, "tags": []}),
    ("paris", {"country": "FR", "population": 2100000, "tags": ["capital"]}),
    ("lyon", {"country": "FR", "population": 520000, "twin": None}),
    ("nowhere", {"country": None, "population": "unknown"}),
    ("atlantis", {"geo": {"lat": -30.5, "lon": 12}, "a.b": 1, "$odd": True}),
]


async def batches(store: Store, report: Report, run: str) -> None:
    key = f"{run}.batch"
    raw = f"{run} raw"
    await store.ask("set", {"key": raw, "value_base64": "AAE=", "content_type": "image/png"})
    ops = [
        {"op": "set", "key": key, "value": {"n": 1}},
        {"op": "get", "key": key},
        {"op": "incr", "key": key, "path": "n", "by": 2},
        {"op": "patch", "key": key, "patch": {"m": 1}},
        {"op": "touch", "key": key, "ttl": "1h"},
        {"op": "get", "key": key},
        {"op": "get", "key": raw},
        {"op": "get", "key": f"{run}.none"},
        {"op": "set", "key": key, "value": 1, "if_revision": 0},
        {"op": "check", "key": f"{run}.none", "if_revision": 0},
        {"op": "nope", "key": key},
        {"op": "set", "key": key, "valeu": 1},
        {"op": "del", "key": key, "return": "previous"},
    ]
    reply = await store.ask("batch", {"ops": ops})
    outcomes = reply["outcomes"]
    report.equal("batch: an outcome for each operation", len(outcomes), len(ops))
    names = [check_error(each["error"])["name"] if "error" in each else None for each in outcomes]
    wanted = [None] * 7 + ["not-found", "conflict", None, "unsupported", "bad-request", None]
    report.equal("batch: each operation stands alone", names, wanted)
    read = {"key", "value", "revision", "position", "updated_at"}
    report.equal("batch: a get's outcome", set(outcomes[1]), read)
    report.equal("batch: operations on one key in order", outcomes[5]["value"], {"n": 3, "m": 1})
    report.check("batch: a get that expires", "expires_at" in outcomes[5], outcomes[5])
    report.equal("batch: raw bytes", outcomes[6]["value_base64"], "AAE=")
    report.equal("batch: del with previous", outcomes[12]["previous"]["value"], {"n": 3, "m": 1})
    for what, body, name in (
        ("no JSON", b"hello", "bad-request"),
        ("no ops", {}, "bad-request"),
        ("an unknown member", {"ops": [], "atomc": True}, "bad-request"),
    ):
        report.error(f"batch: {what}", await store.ask("batch", body), name)
    report.equal("batch: empty", (await store.ask("batch", {"ops": []}))["outcomes"], [])
    many = {"ops": [{"op": "get", "key": "x"}] * 1001}
    reply = await store.ask("batch", many)
    report.error("batch: 1,001 operations", reply, "limit-exceeded", limit="batch_operations")
    many = {"ops": [{"op": "set", "key": f"{run}.many.{n}", "value": n} for n in range(1000)]}
    reply = await store.ask("batch", many)
    created = sum(outcome.get("created", False) for outcome in reply["outcomes"])
    report.equal("batch: 1,000 sets", created, 1000)
    places = [outcome["position"] == position_of(outcome["key"]) for outcome in reply["outcomes"]]
    report.check("batch: keys and positions in order", all(places), places)
    reply = await store.ask("batch", {"ops": []}, Kv_TTL="1h")
    report.error("batch: an option as a header", reply, "bad-request")


async def large_batches(store: Store, report: Report, run: str) -> None:
    keys = [f"{run}.large.{number}" for number in range(6)]
    for key in keys:
        await store.ask(f"set.{key}", "x" * 250000)
    reply = await store.ask("batch", {"ops": [{"op": "get", "key": key} for key in keys]})
    held = [outcome for outcome in reply["outcomes"] if "value" in outcome]
    names = {outcome["error"]["name"] for outcome in reply["outcomes"] if "error" in outcome}
    report.equal("batch: gets that one reply holds", len(held), 4)
    report.equal("batch: and the others", names, {"too-large"})


async def batch_ids(store: Store, report: Report, run: str) -> None:
    ops = [{"op": "incr", "key": f"{run}.batch-id.{number}"} for number in (1, 2, 3, 1)]
    ident = uuid7()
    first = await store.ask("batch", {"ops": ops}, Kv_Request_Id=ident)
    again = await store.ask("batch", {"ops": ops}, Kv_Request_Id=ident)
    report.equal("a repeated batch: the first outcomes", again["outcomes"], first["outcomes"])
    report.equal("its operations count singly", [o["value"] for o in first["outcomes"]], [1, 1, 1, 2])
    one = {"op": "incr", "key": f"{run}.batch-id.own", "request_id": uuid7()}
    twice = (await store.ask("batch", {"ops": [one, one]}))["outcomes"]
    report.equal("an operation's own id, twice", twice[0], twice[1])
    tag = f"{{{run}-id}}"
    atomic = {"atomic": True, "ops": [{"op": "incr", "key": f"{tag}.a"}, {"op": "incr", "key": f"{tag}.b"}]}
    ident = uuid7()
    first = await store.ask("batch", atomic, Kv_Request_Id=ident)
    again = await store.ask("batch", atomic, Kv_Request_Id=ident)
    report.equal("a repeated atomic batch", again["outcomes"], first["outcomes"])


async def atomic_batches(store: Store, report: Report, run: str) -> None:
    tag = f"{{{run}}}"
    ops = [
        {"op": "check", "key": f"{tag}.gone", "if_revision": 0},
        {"op": "set", "key": f"{tag}.name", "value": "Ann"},
        {"op": "incr", "key": f"n.{tag}", "by": 3},
        {"op": "patch", "key": f"{tag}.doc", "patch": {"a": 1}},
        {"op": "del", "key": f"{tag}.gone"},
    ]
    reply = await store.ask("batch", {"atomic": True, "ops": ops})
    places = {outcome["position"] for outcome in reply["outcomes"]}
    report.equal("atomic: all in the tag's position", places, {position_of(tag)})
    got = await store.ask(f"get.n.{tag}")
    report.equal("atomic: done", got.body, b"3")
    ops = [
        {"op": "set", "key": f"{tag}.name", "value": "Bob"},
        {"op": "set", "key": f"{tag}.other", "value": 1},
        {"op": "check", "key": f"{tag}.doc", "if_revision": 0},
    ]
    reply = await store.ask("batch", {"atomic": True, "ops": ops})
    report.error("atomic: refused as a whole", reply, "conflict", index=2)
    got = await store.ask(f"get.{tag}.name")
    report.equal("atomic: nothing was done", got.body, b'"Ann"')
    report.error("atomic: nothing at all", await store.ask(f"get.{tag}.other"), "not-found")
    ops = [{"op": "set", "key": f"{run}-a", "value": 1}, {"op": "set", "key": f"{run}-c", "value": 1}]
    reply = await store.ask("batch", {"atomic": True, "ops": ops})
    report.error("atomic: two positions", reply, "bad-request", index=1)
    ops = [{"op": "set", "key": f"{tag}.{n}", "value": "x" * 200000} for n in range(3)]
    reply = await store.ask("batch", {"atomic": True, "ops": ops})
    report.error("atomic: over 512 KiB", reply, "too-large", limit=524288)
    ops = [{"op": "get", "key": f"{tag}.name"}]
    reply = await store.ask("batch", {"atomic": True, "ops": ops})
    report.error("atomic: a get", reply, "unsupported", index=0)


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
    later = {"$ne": 1, "$nin": [1], "$not": {"$gt": 1}, "$all": [1], "$size": 1,
             "$elemMatch": {"a": 1}, "$regex": "a"}
    refused += [(name, {"where": {"a": {name: operand}}}, "unsupported")
                for name, operand in later.items()]
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
    ops = [{"op": "set", "key": f"{prefix}.{n:03}", "value": {"page": run, "n": n % 7}}
           for n in range(250)]
    await store.ask("batch", {"ops": ops})
    keys = [op["key"] for op in ops]
    pages = await pages_of(store, "keys", {"prefix": prefix, "limit": 100}, "keys")
    rows = [key for page in pages for key in page]
    report.equal("keys: all of a prefix in order", rows, keys)
    report.check("keys: no page above its limit", max(map(len, pages)) <= 100, pages)
    for what, where in (("an equality", {"page": run}),
                        ("a range", {"page": run, "n": {"$gte": 0}}),
                        ("only a range", {"n": {"$gte": 2, "$lte": 5}, "page": {"$prefix": run}})):
        body = {"where": where, "limit": 33, "select": []}
        pages = await pages_of(store, "find", body, "items")
        found = [item["key"] for page in pages for item in page]
        report.equal(f"find: pages of {what}, none twice", len(found), len(set(found)))
        wanted = {key for key, op in zip(keys, ops)
                  if what != "only a range" or 2 <= op["value"]["n"] <= 5}
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
    report.check("find: partial, with nothing missing",
                 reply["complete"] is True and "missing" not in reply.json, reply)


def expand(ranges: list) -> list:
    places = []
    for text in ranges:
        first, _, last = text.partition("-")
        places += range(int(first), int(last or first) + 1)
    return places


async def about_the_store(store: Store, report: Report, _run: str, mapped: bool) -> None:
    ring = await store.ask("ring")
    nodes = {node["node"] for node in ring["nodes"]}
    report.equal("ring: the store's name", ring["store"], store.name)
    used = {node for shard in ring["shards"] for node in shard["nodes"]}
    report.check("ring: shards are on its nodes", used <= nodes, ring)
    status = await store.ask("status")
    report.equal("status: its nodes", {node["node"] for node in status["nodes"]}, nodes)
    report.check("status: all are up", all(n["state"] == "up" for n in status["nodes"]), status)
    copies = {(replica["shard"], replica["node"]) for replica in status["replicas"]}
    wanted = {(shard["shard"], node) for shard in ring["shards"] for node in shard["nodes"]}
    report.equal("status: its replicas", copies, wanted)
    digests: dict = {}
    for replica in status["replicas"]:
        digest = replica["digest"]
        at = (replica["shard"], digest["sequence"])
        digests.setdefault(at, set()).add((digest["records"], digest["index"]))
    report.check("status: digests agree at equal sequence",
                 all(len(each) == 1 for each in digests.values()), digests)
    report.check("status: durability", "sync_interval" in status["durability"], status)
    warned = any("mapping" in warning for warning in status["warnings"])
    report.equal("status: warns of a missing mapping", warned, not mapped)
    info = await store.ask("info")
    report.check("info: version and operators", info["version"] and "$eq" in info["operators"], info)
    limits = {"value_bytes_max": 262144, "key_bytes_max": 1024, "batch_operations_max": 1000}
    found = {name: info["limits"].get(name) for name in limits}
    report.equal("info: limits", found, limits)
    for tail in ("bogus", "get..x", "bogus.key"):
        try:
            reply = await store.connection.request(f"{store.name}.{tail}", b"", timeout=5)
            report.check(f"nobody answers on {tail}", False, reply)
        except NoRespondersError:
            report.check(f"nobody answers on {tail}", True, None)


async def services(store: Store, report: Report, _run: str) -> None:
    nodes = {node["node"] for node in (await store.ask("ring"))["nodes"]}
    for verb in ("PING", "INFO", "STATS"):
        answers = []
        subscription = await store.connection.subscribe(store.connection.new_inbox())
        await store.connection.publish(f"$SRV.{verb}.ringdex", b"", reply=subscription.subject)
        while len(answers) < len(nodes):
            answers.append(json.loads((await subscription.next_msg(timeout=5)).data))
        await subscription.unsubscribe()
        report.equal(f"$SRV.{verb}: one of each node",
                     {answer["metadata"]["node"] for answer in answers}, nodes)
        types = {answer["type"] for answer in answers}
        report.equal(f"$SRV.{verb}: its type", types,
                     {f"io.nats.micro.v1.{verb.lower()}_response"})
        report.equal(f"$SRV.{verb}: each has its id", len({a["id"] for a in answers}), len(nodes))
        if verb != "PING":
            names = {endpoint["name"] for endpoint in answers[0]["endpoints"]}
            report.check(f"$SRV.{verb}: an endpoint a verb",
                         {"get", "set", "find", "batch"} <= names, names)
    one = await store.connection.request(f"$SRV.PING.ringdex.{answers[0]['id']}", b"", timeout=5)
    report.equal("$SRV.PING of one instance", json.loads(one.data)["id"], answers[0]["id"])


async def without_reply(store: Store, report: Report, run: str) -> None:
    await store.connection.publish(f"{store.name}.set.{run}.silent", b"1")
    for _ in range(200):
        got = await store.ask(f"get.{run}.silent")
        if got.error is None:
            break
        await asyncio.sleep(0.02)
    report.check("a set without a reply subject is done", got.error is None, got)


ALL = (batches, large_batches, batch_ids, atomic_batches, queries, query_forms, cursors,
       certificates, services, without_reply)
