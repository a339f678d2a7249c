"""Checks of what a store says of itself: ring, status, info, services."""

from __future__ import annotations

import asyncio
import json

from nats.errors import NoRespondersError

from store import Report, Store


async def about_the_store(store: Store, report: Report, mapped: bool) -> None:
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
    report.check(
        "status: digests agree at equal sequence",
        all(len(each) == 1 for each in digests.values()),
        digests,
    )
    report.check("status: durability", "sync_interval" in status["durability"], status)
    warned = any("mapping" in warning for warning in status["warnings"])
    report.equal("status: warns of a missing mapping", warned, not mapped)
    info = await store.ask("info")
    report.check(
        "info: version and operators", info["version"] and "$eq" in info["operators"], info
    )
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
        report.equal(
            f"$SRV.{verb}: one of each node",
            {answer["metadata"]["node"] for answer in answers},
            nodes,
        )
        types = {answer["type"] for answer in answers}
        report.equal(f"$SRV.{verb}: its type", types, {f"io.nats.micro.v1.{verb.lower()}_response"})
        report.equal(f"$SRV.{verb}: each has its id", len({a["id"] for a in answers}), len(nodes))
        if verb != "PING":
            names = {endpoint["name"] for endpoint in answers[0]["endpoints"]}
            report.check(
                f"$SRV.{verb}: an endpoint a verb", {"get", "set", "find", "batch"} <= names, names
            )
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


ALL = (services, without_reply)
