/**
 * The commands that talk to a store, each run as typed, against a fake store on a real nats-server.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect } from "chai";
import type { Msg } from "nats";
import { exitCodes } from "../../../infra/cli/exit-codes.js";
import { packageFolder } from "../../../infra/files/package-version.js";
import { positionOf } from "../../../protocol/position.js";
import { startTestServer, type TestServer } from "../../support/nats-server.js";
import { until } from "../../support/until.js";
import { errorBody, FakeStore, publishEvent, type Body } from "../client/fake-store.js";
import { ok, runCommand, type Run, type RunOptions } from "./command-run.js";

describe("store commands", function () {
  this.timeout(20_000);
  let server: TestServer;
  let store: FakeStore;
  let folder: string;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());
  beforeEach(async () => {
    store = await FakeStore.start(server.url);
    folder = mkdtempSync(join(tmpdir(), "ringdex-cli-"));
  });
  afterEach(async () => {
    await store.stop();
    rmSync(folder, { recursive: true });
  });

  describe("set and get", () => {
    it("keep a value byte for byte, whether typed or from stdin", async () => {
      const text = '{ "n": 12345678901234567890 }';
      expect(await run(["set", "a", text])).to.deep.equal(ok("created at revision 1\n"));
      expect((await run(["get", "a"])).out).to.equal(text);
      expect(await run(["set", "a"], { stdin: "[1]\n" })).to.include({ code: 0 });
      expect((await run(["get", "a"])).out).to.equal("[1]\n");
    });

    it("tell what to do about a word that is not JSON, and set nothing", async () => {
      const { code, stderr } = await run(["set", "greeting", "hello"]);
      expect(code).to.equal(2);
      expect(stderr).to.match(/"hello" is not JSON.*'"hello"'.*--text\n$/);
      expect(stderr.trimEnd()).not.to.contain("\n");
      expect(store.records.size).to.equal(0);
      expect(await run(["set", "greeting", "hello", "--text"])).to.include({ code: 0 });
      expect(store.records.get("greeting")).to.include({ contentType: 2 });
    });

    it("tell who forgot the shell's quotes to put them, not to store text", async () => {
      const { code, stderr } = await run(["set", "a", "{n:1}"]);
      expect(code).to.equal(2);
      expect(stderr).to.contain(`single quotes: '{"a":1}'`).and.not.contain("--text");
      expect((await run(["set", "a", '{"n":1,}'])).stderr).to.match(/make it JSON, or pass --text/);
    });

    it("say that they wait for a person to type, and only then", async () => {
      const stdin = Object.assign(Readable.from([Buffer.from("1")]), { isTTY: true });
      const typed = await run(["set", "a"], { stdin });
      expect(typed.stderr).to.match(/^reading the value from the keyboard; Ctrl-D/);
      expect((await run(["set", "a"], { stdin: "1" })).stderr).to.equal("");
      expect((await run(["set", "a", "1"])).stderr).to.equal("");
    });

    it("set MessagePack from what is typed as JSON, and bytes from stdin", async () => {
      await run(["set", "m", '{"a":1}', "--content-type", "msgpack"]);
      expect([...(store.records.get("m")?.value ?? [])]).to.deep.equal([0x81, 0xa1, 0x61, 1]);
      const stdin = new Uint8Array([0, 255]);
      await run(["set", "b", "-", "--content-type", "bytes"], { stdin });
      expect([...(store.records.get("b")?.value ?? [])]).to.deep.equal([0, 255]);
    });

    it("give the whole record as JSON", async () => {
      await run(["set", "a", "12345678901234567890", "--ttl", "1h"]);
      const { out } = await run(["get", "a", "--json"]);
      expect(out).to.contain('"value":12345678901234567890,');
      expect(JSON.parse(out)).to.include({ key: "a", revision: 1, position: positionOf("a") });
      expect(store.asked[0]?.body).to.include({ ttl: 3_600_000 });
    });

    it("show a terminal only what it will not obey", async () => {
      await run(["set", "a", "x\u001b[2Jy\nz", "--text"]);
      expect((await run(["get", "a"], { columns: 80 })).out).to.equal("x\\u001b[2Jy\nz\n");
      await run(["set", "b", "-", "--content-type", "bytes"], { stdin: "\u0000" });
      const { code, stderr } = await run(["get", "b"], { columns: 80 });
      expect(code).to.equal(2);
      expect(stderr).to.match(/1 bytes of application\/octet-stream.*--json/);
    });

    it("end with 1 for a missing key and 4 for a condition that is not met", async () => {
      const missing = await run(["get", "none"]);
      expect(missing).to.include({ code: 1, out: "", stderr: 'ringdex: there is no key "none"\n' });
      await run(["set", "a", "1"]);
      expect((await run(["set", "a", "2", "--create"])).code).to.equal(4);
      expect((await run(["set", "a", "2", "--if-revision", "7"])).code).to.equal(4);
      expect((await run(["set", "a", "2", "--if-revision", "1"])).out).to.equal(
        "replaced at revision 2\n",
      );
    });
  });

  it("incr adds, also less than nothing, and prints the number", async () => {
    expect(await run(["incr", "n", "5"])).to.deep.equal(ok("5\n"));
    expect(await run(["incr", "n", "-7"])).to.deep.equal(ok("-2\n"));
    expect(await run(["incr", "n"])).to.deep.equal(ok("-1\n"));
    await run(["incr", "n", "1", "--path", "stock.x"]);
    expect(store.asked.at(-1)?.body).to.include({ path: "stock.x", by: 1 });
  });

  it("del tells whether something was there, and takes both for done", async () => {
    await run(["set", "a", "1"]);
    expect(await run(["del", "a"])).to.deep.equal(ok("deleted\n"));
    expect(await run(["del", "a"])).to.deep.equal(ok("was not there\n"));
    const { out } = await run(["del", "a", "--json"]);
    expect(JSON.parse(out)).to.deep.include({ key: "a", revision: null, existed: false });
  });

  it("patch and touch send what was typed", async () => {
    await run(["patch", "a", '{"b":null}', "--ttl", "90"]);
    expect(store.asked[0]?.body).to.include({ key: "a", ttl: 90_000 });
    expect(Buffer.from(store.asked[0]?.body["value"] as Uint8Array).toString()).to.equal(
      '{"b":null}',
    );
    await run(["touch", "a", "--ttl", "never"]);
    expect(store.asked[1]).to.deep.include({ verb: "touch" });
  });

  describe("find, count and keys", () => {
    const item = { key: "delhi", value: { name: "Delhi", geo: { lat: 28.6 } }, revision: 3 };
    const items = [item, { key: "x\ny", value: { name: "X" }, revision: 1 }];

    it("find shows keys and selected attributes, cut to the terminal", async () => {
      store.onJson = () => ({ items, complete: true });
      const argumentList = ["find", '{"country":"IN"}', "--select", "name,geo.lat"];
      const { out, code } = await run(argumentList, { columns: 40 });
      expect(code).to.equal(0);
      expect(out).to.equal("key    name   geo.lat\ndelhi  Delhi     28.6\nx\\ny   X\n");
      expect(store.jsonAsked.at(-1)?.body).to.deep.include({
        where: { country: "IN" },
        select: ["name", "geo.lat"],
        limit: 100,
      });
    });

    it("find says that there is more, and --all gets it", async () => {
      store.onJson = (_, { cursor }) =>
        cursor === undefined
          ? { items, cursor: "c", complete: true }
          : { items: [{ ...item, key: "last" }], complete: true };
      const some = await run(["find", "{}", "--limit", "2", "--json"]);
      expect(
        some.out
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line) as unknown),
      ).to.deep.equal(items);
      expect(some.stderr).to.match(/more than these 2: --limit/);
      const all = await run(["find", "--all", "--json"]);
      expect(all.out.match(/\n/g)).to.have.length(3);
      expect(all.stderr).to.equal("");
    });

    it("find refuses what is no filter before it asks anybody", async () => {
      for (const where of ["country=IN", "[]", "1"]) {
        const { code, stderr } = await run(["find", where]);
        expect(code).to.equal(2);
        expect(stderr).to.match(/^ringdex: WHERE is a JSON object/);
      }
      expect((await run(["find", "--all", "--limit", "1"])).code).to.equal(2);
      expect(store.jsonAsked).to.deep.equal([]);
    });

    it("find ends with 5 where shards are missing", async () => {
      store.onJson = () => ({ items, complete: false });
      expect(await run(["find", "{}", "--partial"])).to.deep.include({ code: 5 });
    });

    it("count prints a number", async () => {
      store.onJson = () => ({ count: 42, complete: true });
      expect(await run(["count", '{"a":1}'])).to.deep.equal(ok("42\n"));
      expect(await run(["count", "--json"])).to.deep.equal(ok('{"count":42}\n'));
    });

    it("find prints separated values for other programs", async () => {
      store.onJson = (_, { cursor }) =>
        cursor === undefined ? { items, cursor: "c" } : { items: [{ ...item, key: "z" }] };
      const csv = await run(["find", "--all", "--csv", "--select", "name"]);
      expect(csv).to.deep.equal(ok('key,name\ndelhi,Delhi\n"x\ny",X\nz,Delhi\n'));
      const tsv = await run(["find", "--all", "--tsv", "--no-headers", "--select", "name"]);
      expect(tsv).to.deep.equal(ok("delhi\tDelhi\nx\\ny\tX\nz\tDelhi\n"));
      const table = await run(["find", "--no-headers", "--limit", "2", "--select", "name"]);
      expect(table.out).to.equal("delhi  Delhi\nx\\ny   X\n");
      expect((await run(["find", "--csv", "--json"])).code).to.equal(2);
    });

    it("keys prints one a line", async () => {
      store.onJson = () => ({ keys: ["a", "a\nb"] });
      expect(await run(["keys", "a"])).to.deep.equal(ok("a\na\\nb\n"));
      expect(store.jsonAsked.at(-1)?.body).to.include({ prefix: "a" });
      expect(await run(["keys", "--json"])).to.deep.equal(ok('"a"\n"a\\nb"\n'));
    });
  });

  describe("print stored text, in which no number is another one", () => {
    const value = '{"n":9007199254740993,"p":1.50,\n"z":-0,"list":[{"n":12345678901234567890}]}';
    const line = value.replace("\n", " ");

    it("find", async () => {
      const item = `{"key":"a","value":${value},"revision":3}`;
      store.onJson = () => ` {"items":[${item}],"cursor":null,"complete":true}\n`;
      expect((await run(["find", "--json"])).out).to.equal(`${item.replace("\n", " ")}\n`);
      expect((await run(["find"])).out).to.contain(line);
      const selected = await run(["find", "--select", "n,p,z,list.n,list"]);
      expect(selected.out.split("\n")[1]?.split(/ +/)).to.deep.equal([
        "a",
        "9007199254740993",
        "1.50",
        "-0",
        "[12345678901234567890]",
        '[{"n":12345678901234567890}]',
      ]);
    });

    it("batch", async () => {
      const outcome = `{"key":"a","value":${value},"revision":3}`;
      answer("kv.batch", () => `{"outcomes":[${outcome}]}`);
      const stdin = '{"op":"get","key":"a"}';
      const { out } = await run(["batch", "--json"], { stdin });
      expect(out).to.equal(`${outcome.replace("\n", " ")}\n`);
      expect((await run(["batch"], { stdin })).out).to.equal(`a  3  value=${line}\n`);
    });

    it("watch", async () => {
      const manager = await store.connection.jetstreamManager();
      await manager.streams.add({ name: "kv-events", subjects: ["kv.event.>", "kv.relay.>"] });
      try {
        await publishEvent(store.connection, { op: "set", key: "a", revision: 1, text: value });
        const argumentList = ["watch", "--from", "beginning", "--count", "1"];
        const json = await run([...argumentList, "--json"]);
        expect(json.out).to.contain(`,"value":${line},"content_type":"application/json"}\n`);
        expect((await run(argumentList)).out).to.contain(line);
      } finally {
        await manager.streams.delete("kv-events");
      }
    });
  });

  it("wait for their reader before they ask for more", async () => {
    store.onJson = (verb, { cursor }) => {
      const next = Number(cursor ?? 0) + 1;
      const more = next < 4 ? { cursor: String(next) } : {};
      return verb === "keys" ? { keys: ["a"], ...more } : { items: [{ key: "a" }], ...more };
    };
    for (const command of [["keys"], ["find", "--all", "--json"]]) {
      store.jsonAsked.length = 0;
      let read: (() => void) | undefined;
      const onOut = (): Promise<void> => new Promise((resolve) => void (read = resolve));
      const ran = run(command, { onOut });
      for (let page = 1; page <= 4; page += 1) {
        await until(() => read !== undefined);
        await new Promise(setImmediate);
        const pages = store.jsonAsked.filter(({ verb }) => verb === command[0]);
        expect(pages.length, command[0]).to.equal(page);
        const isRead = read;
        read = undefined;
        isRead?.();
      }
      expect((await ran).code).to.equal(0);
    }
  });

  describe("batch", () => {
    let payloads: string[];
    beforeEach(() => {
      payloads = [];
      answer("kv.batch", (message) => {
        payloads.push(message.string());
        const { ops } = message.json<{ ops: Body[] }>();
        return {
          outcomes: ops.map(({ key }) =>
            key === "bad" ? errorBody("conflict", 409) : { key, revision: 1, created: true },
          ),
        };
      });
    });

    it("sends operations one a line as one batch, their text as it stands", async () => {
      const stdin = '{"op":"set","key":"a","value":1.0}\n\n{"op":"del","key":"b"}\n';
      const { code, out } = await run(["batch", "--atomic"], { stdin });
      expect(code).to.equal(0);
      expect(payloads).to.deep.equal([
        '{"ops":[{"op":"set","key":"a","value":1.0},{"op":"del","key":"b"}],"atomic":true}',
      ]);
      expect(out).to.equal("a  1  created=true\nb  1  created=true\n");
    });

    it("sends a whole document as it is, over several lines too", async () => {
      const stdin = '{\n "ops": [{"op":"get","key":"a"}]\n}\n';
      await run(["batch", "-"], { stdin });
      expect(payloads).to.deep.equal([stdin]);
    });

    it("sends many lines as several batches, in order", async () => {
      const keys = Array.from({ length: 1_200 }, (_, index) => `k${index}`);
      const stdin = keys.map((key) => `{"op":"del","key":"${key}"}`).join("\n");
      const { out } = await run(["batch", "--json"], { stdin });
      const told = out
        .trimEnd()
        .split("\n")
        .map((line) => (JSON.parse(line) as Body)["key"]);
      expect(told).to.deep.equal(keys);
      expect(payloads).to.have.length(3);
    });

    it("ends with 7 if some were refused and with 3 if all were", async () => {
      const [good, bad] = ['{"op":"del","key":"a"}', '{"op":"del","key":"bad"}'];
      const some = await run(["batch"], { stdin: `${good}\n${bad}` });
      expect(some).to.include({ code: 7, out: "a  1  created=true\nconflict: fake conflict\n" });
      expect((await run(["batch"], { stdin: bad })).code).to.equal(3);
    });

    it("names the line that is no operation", async () => {
      const { code, stderr } = await run(["batch"], { stdin: '{"op":"del","key":"a"}\noops\n' });
      expect(code).to.equal(2);
      expect(stderr).to.match(/line 2 is not an operation/);
    });
  });

  it("load sets what export wrote", async () => {
    await run(["set", "a", '{"n":1.50}']);
    await run(["set", "b", "x\ny", "--text"]);
    store.onJson = () => ({ keys: ["a", "b", "gone"] });
    const { out, stderr } = await run(["export"]);
    expect(stderr).to.equal("exported 2 records\n");
    const [a, b] = [store.records.get("a")?.value, store.records.get("b")?.value];
    store.records.clear();
    const file = join(folder, "all.ndjson");
    writeFileSync(file, out);
    const loaded = await run(["load", file, "--json"]);
    expect(loaded.code).to.equal(0);
    expect(JSON.parse(loaded.out)).to.deep.include({ loaded: 2, rejected: 0, expired: 0 });
    expect(store.records.get("a")).to.deep.include({ value: a, contentType: 0 });
    expect(store.records.get("b")).to.deep.include({ value: b, contentType: 2 });
  });

  it("load ends with 7 and the line where the store refuses a record", async () => {
    store.onOperation = ({ body }) =>
      body["key"] === "c.2" ? errorBody("too-large", 413) : "done";
    const stdin = '[{"id":1},\n{"id":2}]';
    const { code, out, stderr } = await run(["load", "-", "--key", "id", "--prefix", "c."], {
      stdin,
    });
    expect(stderr).to.equal("line 2: too-large: fake too-large\n");
    const bad = await run(["load", "-"], { stdin: "oops\n" });
    expect(bad.stderr)
      .to.match(/^line 1: bad-request: no JSON: /)
      .and.not.contain("Content-Type");
    expect(out).to.match(/^loaded 1, rejected 1;/);
    expect(code).to.equal(7);
  });

  describe("watch", () => {
    beforeEach(async () => {
      const manager = await store.connection.jetstreamManager();
      await manager.streams.add({ name: "kv-events", subjects: ["kv.event.>", "kv.relay.>"] });
    });
    afterEach(async () => {
      const manager = await store.connection.jetstreamManager();
      await manager.streams.delete("kv-events");
    });

    it("prints a line for each change from the beginning, cut to the terminal", async () => {
      const value = { text: "x".repeat(99) };
      await publishEvent(store.connection, { op: "set", key: "a.b", revision: 1, value });
      await publishEvent(store.connection, { op: "del", key: "a.b", revision: 2 });
      const argumentList = ["watch", "--from", "beginning", "--count", "2"];
      const { out, stderr, code } = await run(argumentList, { columns: 40 });
      expect(code).to.equal(0);
      expect(out.split("\n")).to.deep.equal([
        'set     a.b              1  {"text":"xx…',
        "del     a.b              2",
        "",
      ]);
      expect(stderr).to.equal("watching from beginning; Ctrl-C ends it\n");
    });

    it("ends when it is told to, as if all were said", async () => {
      const stopping = new AbortController();
      await publishEvent(store.connection, { op: "del", key: "a", revision: 1 });
      const { code, out } = await run(["watch", "--from", "1h", "--json"], {
        stopping: stopping.signal,
        onOut: () => stopping.abort(),
      });
      expect(code).to.equal(0);
      expect(JSON.parse(out)).to.include({ op: "del", key: "a", revision: 1 });
    });

    it("refuses a start that is none", async () => {
      expect((await run(["watch", "--from", "yesterday"])).stderr).to.match(
        /must be now, beginning/,
      );
    });
  });

  describe("status and ring", () => {
    it("status shows nodes, replicas and warnings", async () => {
      answer("kv.status", () => status);
      const { code, out } = await run(["status"], { columns: 100 });
      expect(code).to.equal(0);
      expect(out).to.equal(
        [
          "store kv, epoch 1; log sync always, 1 copy of each log",
          "",
          "node  pid  state  version",
          "n1      7  up     0.1.0",
          "n2         down",
          "",
          "shard  node  home  state    positions  applied  last  lag  keys    bytes",
          "s1     n1    home  serving        512       41    42    1   900  1.5 KiB",
          "",
          "warning: node n2 does not answer",
          "",
        ].join("\n"),
      );
      expect(JSON.parse((await run(["status", "--json"])).out)).to.deep.equal(status);
    });

    it("status shows no figures of a replica that is loading", async () => {
      const loading = { ...status.replicas[0], state: "loading" };
      answer("kv.status", () => ({ ...status, replicas: [loading] }));
      const { out } = await run(["status"], { columns: 80 });
      expect(out).to.match(/^s1 +n1 +home +loading( +-){6}$/m);
    });

    it("status --check ends with a code for how bad it is", async () => {
      const replica = status.replicas[0];
      const two = { ...replica, shard: "s2", node: "n1" };
      const well = {
        ...status,
        nodes: [status.nodes[0]],
        replicas: [replica, two],
        warnings: [] as string[],
      };
      const cases: [object, number][] = [
        [well, 0],
        [{ ...well, warnings: ["something"] }, 9],
        [{ ...well, nodes: status.nodes }, 9],
        [{ ...well, replicas: [replica, two, { ...two, node: "n2", state: "loading" }] }, 9],
        [{ ...well, replicas: [replica, { ...two, state: "stopped" }] }, 10],
        [{ ...well, replicas: [replica] }, 10],
      ];
      let body: object = {};
      answer("kv.status", () => body);
      for (const [report, expected] of cases) {
        body = report;
        expect((await run(["status", "--check"])).code, JSON.stringify(report)).to.equal(expected);
        expect((await run(["status", "--check", "--json"])).code).to.equal(expected);
        expect((await run(["status"])).code).to.equal(0);
      }
    });

    it("ping says that a node answers, and how fast", async () => {
      const { code, out } = await run(["ping"]);
      expect(code).to.equal(0);
      expect(out).to.match(/^store "kv" at nats:\S+ answers in [\d.]+ ms\n$/);
      const told = JSON.parse((await run(["ping", "--json"])).out) as Body;
      expect(told).to.include({ store: "kv", server: server.url }).and.have.property("ms");
    });

    it("ring shows shards with their positions", async () => {
      const { out } = await run(["ring"]);
      expect(out).to.contain("store kv, epoch 1, 1024 positions");
      expect(out).to.match(/^s2 +n1 +1 +512 +512-1023$/m);
      expect(JSON.parse((await run(["ring", "--json"])).out)).to.deep.equal(store.ring);
    });
  });

  describe("logs", () => {
    const line = (time: string, level: string, node: string, fields: object = {}): string =>
      JSON.stringify({ time, level, node, message: "moved", ...fields });

    it("prints the last lines of all nodes in order of time", async () => {
      for (const node of ["n1", "n2"]) mkdirSync(join(folder, "nodes", node), { recursive: true });
      const n1 = [line("1", "info", "n1"), line("3", "debug", "n1"), line("4", "info", "n1")];
      const n2 = [line("2", "error", "n2", { lag: 3 }), line("5", "info", "n2")];
      writeFileSync(join(folder, "nodes", "n1", "node.log"), `${n1.join("\n")}\n`);
      writeFileSync(join(folder, "nodes", "n2", "node.log"), `${n2.join("\n")}\n`);
      const { out } = await run(["logs", "--data", folder, "-n", "3"]);
      expect(out).to.equal("2 error n2 moved lag=3\n4 info  n1 moved\n5 info  n2 moved\n");
      const ofOne = await run(["logs", "--data", folder, "--node", "n1", "--level", "debug"]);
      expect(ofOne.out.match(/\n/g)).to.have.length(3);
      const none = await run(["logs", "--data", join(folder, "none")]);
      expect(none).to.include({ code: 1 });
      expect(none.stderr).to.contain("-f");
    });

    it("follows what nodes say until it is told to stop", async () => {
      const stopping = new AbortController();
      let seen = "";
      const following = run(["logs", "-f"], {
        stopping: stopping.signal,
        onOut: (all) => void (seen = all),
      });
      await until(() => {
        const { connection } = store;
        connection.publish("kv.node.n1.log.info", line("1", "info", "n1", { shard: "s1" }));
        return seen !== "";
      });
      stopping.abort();
      const { code, out, stderr } = await following;
      expect(code).to.equal(0);
      expect(stderr).to.match(/^following what the nodes of store "kv" at /);
      expect(out).to.match(/^(1 info {2}n1 moved shard=s1\n)+$/);
    });
  });

  it("say where they looked when no server is there, and end with 5", async () => {
    const { code, stderr } = await run(["get", "a", "-s", "nats://127.0.0.1:1"], {});
    expect(code).to.equal(5);
    expect(stderr).to.match(/cannot reach nats:\/\/127\.0\.0\.1:1 .*ringdex(\.js)? up"/);
    expect(stderr.trimEnd()).not.to.contain("\n");
  });

  it("say at once that no node of the store is there, wait for one, and end with 5", async () => {
    const { code, stderr } = await run(["get", "a", "--store", "other"]);
    expect(code).to.equal(5);
    const [first, last, ...more] = stderr.trimEnd().split("\n");
    expect(first).to.match(/^nats-server is at nats:.*no node of store "other" answers; trying/);
    expect(last).to.match(/^ringdex: no node of store "other" .*--store.*ringdex(\.js)? up"/);
    expect(more).to.deep.equal([]);
  });

  it("have help that names their options", async () => {
    for (const name of ["set", "get", "del", "patch", "incr", "touch", "batch", "find", "count"]) {
      await expectHelp(name);
    }
    for (const name of ["keys", "watch", "logs", "status", "ring", "load", "export"]) {
      await expectHelp(name);
    }
  });

  it("end with the codes that docs/cli.md lists", () => {
    const text = readFileSync(join(packageFolder(), "docs", "cli.md"), "utf8");
    const rows = [...text.matchAll(/^\| (\d+) +\| (.*?) +\|$/gm)];
    const told = rows.map(([, code, about]) => ({ code: Number(code), about }));
    expect(
      told.map(({ about, ...row }) => ({ ...row, about: about?.replaceAll("`", "") })),
    ).to.deep.equal(Object.values(exitCodes));
  });

  async function expectHelp(name: string): Promise<void> {
    const { code, out } = await run([name, "--help"]);
    expect(code).to.equal(0);
    expect(out, name).to.contain(`Usage: ringdex ${name}`).and.contain("--server");
  }

  const status = {
    type: "io.ringdex.v1.status_response",
    store: "kv",
    epoch: 1,
    durability: { sync_interval: "always", log_replicas: 1 },
    nodes: [
      { node: "n1", pid: 7, state: "up", version: "0.1.0" },
      { node: "n2", pid: null, state: "down", version: null },
    ],
    replicas: [
      {
        shard: "s1",
        node: "n1",
        state: "serving",
        positions: 512,
        sequence_applied: 41,
        sequence_last: 42,
        lag: 1,
        keys: 900,
        bytes: 1_536,
      },
    ],
    warnings: ["node n2 does not answer"],
  };

  function answer(subject: string, reply: (message: Msg) => unknown): void {
    store.connection.subscribe(subject, {
      callback: (_, message) => {
        const body = reply(message);
        message.respond(typeof body === "string" ? body : JSON.stringify(body));
      },
    });
  }

  async function run(argumentList: readonly string[], options: RunOptions = {}): Promise<Run> {
    await store.connection.flush();
    return runCommand(server.url, argumentList, options);
  }
});
