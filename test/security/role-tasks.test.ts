/**
 * What each role is there for, through nats-server's permissions; and that what it has no right to
 * is told at once, in words, by the client and by the command line.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decode, encode } from "@msgpack/msgpack";
import { expect } from "chai";
import { AckPolicy, type Msg, type NatsConnection } from "nats";
import { KvError, ops, type Outcome, type Ringdex } from "../../infra/client/client.js";
import { commandLine } from "../../infra/nats-server/nats-server.js";
import { roleNames } from "../../protocol/nats/nats-roles.js";
import type { StatusReport } from "../../protocol/node/status.js";
import { positionOf } from "../../protocol/position.js";
import { until } from "../support/until.js";
import { startSecureStore, type SecureStore } from "./secure-store.js";

const NINE_TOKENS = "a.b.c.d.e.f.g.h.i";
const NO_SUBJECT = "a key with spaces";

describe("with the rights of its role", function () {
  this.timeout(120_000);
  let store: SecureStore;
  let writer: Ringdex;
  before(async () => {
    store = await startSecureStore();
    writer = await store.client("writer");
    for (const key of ["delhi", NINE_TOKENS, NO_SUBJECT]) await writer.set(key, { key });
  });
  after(async () => {
    await store.stop();
  });

  describe("a reader", () => {
    let reader: Ringdex;
    let nats: NatsConnection;
    before(async () => {
      reader = await store.client("reader");
      nats = await store.nats("reader");
    });

    it("reads by our client in every way", async () => {
      expect((await reader.get("delhi"))?.value).to.deep.equal({ key: "delhi" });
      const many = await reader.getMany(["delhi", NINE_TOKENS, NO_SUBJECT, "nowhere"]);
      expect([...many.keys()]).to.have.members(["delhi", NINE_TOKENS, NO_SUBJECT]);
      expect(await reader.count({ key: "delhi" })).to.equal(1);
      expect((await listed(reader.find({ key: "delhi" }))).map(({ key }) => key)).to.deep.equal([
        "delhi",
      ]);
      expect(await listed(reader.keys({ prefix: "del" }))).to.deep.equal(["delhi"]);
    });

    it("reads by subject, mapped or not, and without a key in the subject", async () => {
      for (const [subject, payload] of [
        ["kv.get.delhi", ""],
        [`kv.get.${NINE_TOKENS}`, ""],
        ["kv.get", JSON.stringify({ key: NO_SUBJECT })],
      ] as const) {
        const reply = await nats.request(subject, payload);
        expect(reply.json(), subject).to.have.property("key");
        expect(reply.headers?.get("Kv-Revision"), subject).to.match(/^\d+$/);
      }
    });

    it("is told at once what it must not do, and nothing is written", async () => {
      const tries: [string, () => Promise<unknown>][] = [
        ["set", () => reader.set("delhi", 1)],
        ["del", () => reader.del("delhi")],
        ["patch", () => reader.patch("delhi", { a: 1 })],
        ["incr", () => reader.incr("number")],
        ["touch", () => reader.touch("delhi", "1h")],
        ["setMany", () => reader.setMany([{ key: "delhi", value: 1 }])],
        ["atomic", () => reader.batch([ops.set("delhi", 1)], { atomic: true })],
        ["batch of both", () => firstRefused(reader.batch([ops.get("delhi"), ops.set("d", 1)]))],
      ];
      for (const [name, run] of tries) {
        const error = await failureOf(run());
        expect(error, name).to.be.instanceOf(KvError);
        expect(error, name).to.include({ kind: "bad-request", written: "no", retryable: false });
        expect(error.message, name).to.match(/not permitted to publish to kv\.(ring|shard)\./);
      }
      const watch = reader.watch();
      expect((await failureOf(watch.ready)).message).to.match(/not permitted.*STREAM\.INFO/);
      await reader.get("delhi");
      expect((await writer.get("delhi"))?.value).to.deep.equal({ key: "delhi" });
      expect(await writer.get("number")).to.equal(undefined);
    });

    it("cannot write through a subject that is for reading", async () => {
      const position = positionOf("delhi");
      const set = { op: "set", key: "delhi", value: Buffer.from("1") };
      const ring = await writerRing();
      const shard = ring.find(({ positions }) => positions.has(position))?.shard ?? "";
      const packed: [string, object][] = [
        [`kv.ring.${position}.get`, set],
        [`kv.ring.${position}.get`, { key: "delhi", value: Buffer.from("1") }],
        [`kv.shard.${shard}.get`, { ops: [set] }],
        [`kv.shard.${shard}.get`, { ops: [{ op: "get", key: "delhi" }, set] }],
        [`kv.shard.${shard}.get`, { ops: [set], atomic: true }],
        [`kv.shard.${shard}.get`, { ops: [{ op: "check", key: "delhi", if_revision: 1 }] }],
      ];
      for (const [subject, payload] of packed) {
        const reply = await nats.request(subject, encode(payload));
        expect(nameOfError(reply), `${subject} ${JSON.stringify(payload)}`).to.equal("bad-request");
      }
      const text = await nats.request("kv.get", JSON.stringify({ key: "delhi", value: 1 }));
      expect(nameOfError(text)).to.equal("bad-request");
      expect((await writer.get("delhi"))?.value).to.deep.equal({ key: "delhi" });
    });

    it("is told by the command line, too", async () => {
      const got = await store.cli("reader", ["get", "delhi"]);
      expect(got).to.include({ code: 0 });
      const set = await store.cli("reader", ["set", "delhi", "1"]);
      expect(set.code).to.equal(2);
      expect(set.stderr).to.match(
        /not permitted to publish to kv\.ring\.\d+\.set; docs\/security\.md/,
      );
      expect((await store.cli("reader", ["status"])).stderr).to.match(/not permitted.*kv\.status/);
    });
  });

  describe("a writer", () => {
    it("writes in every way", async () => {
      const written = await writer.batch([ops.set("w1", 1), ops.incr("w2"), ops.get("w1")]);
      expect(written).to.have.lengthOf(3);
      await writer.setMany([{ key: "w3", value: 3 }]);
      await writer.batch([ops.set("{w}1", 1), ops.set("{w}2", 2)], { atomic: true });
      await writer.patch("w4", { a: 1 });
      await writer.touch("w4", "1h");
      expect(await writer.del("w4")).to.include({ existed: true });
      const nats = await store.nats("writer");
      const ops2 = { ops: [{ op: "set", key: "w5", value: 5 }] };
      expect((await nats.request("kv.batch", JSON.stringify(ops2))).json()).to.have.property(
        "outcomes",
      );
      await nats.request(`kv.set.${NINE_TOKENS}`, JSON.stringify({ key: NINE_TOKENS }));
      expect((await writer.get("w5"))?.value).to.equal(5);
    });

    it("has no right to status", async () => {
      expect((await store.cli("writer", ["status"])).stderr).to.match(/not permitted.*kv\.status/);
    });
  });

  describe("an event consumer", () => {
    it("watches by our client and by the command line", async () => {
      const events = await store.client("events");
      const watch = events.watch<unknown>({ prefix: "seen" });
      await watch.ready;
      const command = store.cli("events", ["watch", "seen", "--from", "beginning", "--count", "1"]);
      await writer.set("seen.1", { n: 1 });
      for await (const event of watch) {
        expect(event).to.deep.include({ op: "set", key: "seen.1", value: { n: 1 } });
        break;
      }
      const { code, out } = await command;
      expect(code).to.equal(0);
      expect(out).to.match(/^set +seen\.1 /);
    });

    it("consumes by a plain JetStream consumer, and acknowledges", async () => {
      await writer.set("plain.1", 1);
      const nats = await store.nats("events");
      const manager = await nats.jetstreamManager({ domain: "kv", checkAPI: false });
      const { name } = await manager.consumers.add("kv-events", {
        name: "plain",
        ack_policy: AckPolicy.Explicit,
        filter_subject: "kv.event.set.plain.>",
      });
      const consumer = await nats.jetstream({ domain: "kv" }).consumers.get("kv-events", name);
      const message = await consumer.next();
      expect(message?.subject).to.equal("kv.event.set.plain.1");
      message?.ack();
      await until(
        async () => (await consumer.info()).ack_floor.consumer_seq === 1,
        10_000,
        "the acknowledgement",
      );
    });

    it("reads nothing by a get, and changes nothing", async () => {
      const events = await store.client("events");
      for (const run of [() => events.get("delhi"), () => events.set("delhi", 1)]) {
        expect((await failureOf(run())).message).to.match(/not permitted to publish to kv\.ring/);
      }
      expect((await failureOf(events.count({}))).message).to.match(/not permitted/);
    });
  });

  describe("an operator", () => {
    it("sees status, ring and services, and no value", async () => {
      const status = await store.cli("operator", ["status"]);
      expect(status).to.include({ code: 0 });
      expect(status.out).to.match(/n1 .*up/);
      expect((await store.cli("operator", ["ring"])).code).to.equal(0);
      const nats = await store.nats("operator");
      const ping = await nats.request("$SRV.PING", "", { timeout: 2_000 });
      expect(ping.json()).to.include({ type: "io.nats.micro.v1.ping_response" });
      const get = await store.cli("operator", ["get", "delhi"]);
      expect(get.stderr).to.match(/not permitted to publish to kv\.ring\.\d+\.get/);
    });
  });

  describe("a node", () => {
    it("serves under load while another one is killed, and every change is an event", async () => {
      const events = await store.client("events");
      const watch = events.watch<number>({ prefix: "load." });
      await watch.ready;
      const count = 600;
      const seen = new Set<string>();
      const watching = (async () => {
        for await (const { key } of watch) {
          seen.add(key);
          if (seen.size === count) return;
        }
      })();
      const killed = await nodePid(store, "n2");
      for (let start = 0; start < count; start += 50) {
        if (start === 200) process.kill(killed, "SIGKILL");
        const keys = Array.from({ length: 50 }, (_, index) => `load.${start + index}`);
        await writer.setMany(keys.map((key) => ({ key, value: 1 })));
      }
      await until(() => /n2 serves again/.test(store.output), 60_000, "the killed node's return");
      await watching;
      expect(await nodePid(store, "n2")).to.not.equal(killed);
      expect(await writer.count({ $key: { $prefix: "load." } })).to.equal(count);
    });
  });

  describe("a user of another role", () => {
    it("starts no node, and is told which rights it lacks", async () => {
      const dataFolder = join(store.folder, "data-of-reader");
      const { code, stderr } = await store.cli("reader", [
        "up",
        "--nodes",
        "1",
        "--data",
        dataFolder,
      ]);
      expect(code).to.equal(2);
      expect(stderr).to.match(
        /the NATS user of this node lacks the right to .*publish to kv\.log\./,
      );
    });

    it("starts no node with a wrong password, and is told so", async () => {
      const dataFolder = join(store.folder, "data-of-nobody");
      const wrong = { RINGDEX_NATS_PASSWORD: "wr0ng" };
      const ran = await store.cli("node", ["up", "--nodes", "1", "--data", dataFolder], wrong);
      expect(ran.code).to.equal(2);
      expect(ran.stderr).to.match(/refused these credentials/);
      expect(ran.stderr).not.to.contain("wr0ng");
    });
  });

  describe("a secret", () => {
    it("is in no argument, log, line of output or status", async () => {
      const nats = await store.nats("operator");
      const told = [store.output, (await nats.request("kv.status", "")).string()];
      const status = JSON.parse(told[1] ?? "") as StatusReport;
      const pids = [store.pid, ...status.nodes.map(({ pid }) => Number(pid))];
      for (const pid of pids) told.push(await commandLine(pid));
      expect(told.at(-1)).to.contain("node start");
      const files = readdirSync(store.dataFolder, { recursive: true, withFileTypes: true });
      for (const file of files.filter((one) => one.isFile())) {
        if (/log$|json$|lock$/.test(file.name)) {
          told.push(readFileSync(join(file.parentPath, file.name), "utf8"));
        }
      }
      expect(told.length).to.be.greaterThan(6);
      for (const role of [...roleNames, "sys" as const]) {
        for (const text of told) expect(text).not.to.contain(store.passwordOf(role));
      }
    });
  });

  async function writerRing(): Promise<{ shard: string; positions: Set<number> }[]> {
    const nats = await store.nats("writer");
    const { shards } = (await nats.request("kv.ring", "")).json<{
      shards: { shard: string; positions: string[] }[];
    }>();
    return shards.map(({ shard, positions }) => ({
      shard,
      positions: new Set(positions.flatMap(rangeOf)),
    }));
  }
});

function rangeOf(range: string): number[] {
  const [first = 0, last = first] = range.split("-").map(Number);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

async function nodePid(store: SecureStore, node: string): Promise<number> {
  const nats = await store.nats("operator");
  const reply = await nats.request("kv.status", "", { timeout: 5_000 });
  const { nodes } = reply.json<StatusReport>();
  const pid = nodes.find((one) => one.node === node)?.pid;
  if (typeof pid !== "number") throw new Error(`${node} is not up`);
  return pid;
}

/** Of a reply in JSON or in the packed form. */
function nameOfError(reply: Msg): string | undefined {
  const isJson = reply.data[0] === "{".charCodeAt(0);
  const body = isJson ? reply.json() : decode(reply.data);
  return firstErrorName(body);
}

function firstErrorName(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { name, error } = body as { readonly name?: unknown; readonly error?: unknown };
  if (typeof name === "string") return name;
  if (error !== undefined) return firstErrorName(error);
  for (const value of Object.values(body)) {
    const found = firstErrorName(value);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function listed<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** Rejects with it. */
async function firstRefused(outcomes: Promise<readonly Outcome<unknown>[]>): Promise<void> {
  for (const outcome of await outcomes) if (!outcome.ok) throw outcome.error;
}

async function failureOf(promise: Promise<unknown>): Promise<KvError> {
  try {
    await promise;
  } catch (error) {
    return error as KvError;
  }
  throw new Error("it did not fail");
}
