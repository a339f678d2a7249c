"""Checks of batches: each operation alone, or all or nothing."""

from __future__ import annotations

from store import Report, Store, check_error, position_of, uuid7


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
    report.equal(
        "its operations count singly", [o["value"] for o in first["outcomes"]], [1, 1, 1, 2]
    )
    one = {"op": "incr", "key": f"{run}.batch-id.own", "request_id": uuid7()}
    twice = (await store.ask("batch", {"ops": [one, one]}))["outcomes"]
    report.equal("an operation's own id, twice", twice[0], twice[1])
    tag = f"{{{run}-id}}"
    atomic = {
        "atomic": True,
        "ops": [{"op": "incr", "key": f"{tag}.a"}, {"op": "incr", "key": f"{tag}.b"}],
    }
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
    ops = [
        {"op": "set", "key": f"{run}-a", "value": 1},
        {"op": "set", "key": f"{run}-c", "value": 1},
    ]
    reply = await store.ask("batch", {"atomic": True, "ops": ops})
    report.error("atomic: two positions", reply, "bad-request", index=1)
    ops = [{"op": "set", "key": f"{tag}.{n}", "value": "x" * 200000} for n in range(3)]
    reply = await store.ask("batch", {"atomic": True, "ops": ops})
    report.error("atomic: over 512 KiB", reply, "too-large", limit=524288)
    ops = [{"op": "get", "key": f"{tag}.name"}]
    reply = await store.ask("batch", {"atomic": True, "ops": ops})
    report.error("atomic: a get", reply, "unsupported", index=0)


ALL = (batches, large_batches, batch_ids, atomic_batches)
