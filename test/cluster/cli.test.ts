/**
 * Every command of the command line, as processes against a real cluster: what they print, what
 * they end with, and that they say the same as each other. Forms and messages in detail are
 * test/infra/cli/store-commands.test.ts's.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { ops } from "../../infra/client/client.js";
import { packageFolder } from "../../infra/files/package-version.js";
import { findNatsServer } from "../../infra/nats-server/nats-binary.js";
import type { StatusReport } from "../../protocol/node/status.js";
import { parseRing } from "../../protocol/ring/ring.js";
import { runProgram, type Ran, type RunOptions } from "../support/run-program.js";
import { useSharedCluster } from "../support/shared-cluster.js";
import { until } from "../support/until.js";

const program = fileURLToPath(new URL("../../infra/cli/ringdex.js", import.meta.url));
const WAIT_MS = 20_000;

describe("ringdex, as typed", function () {
  this.timeout(60_000);
  const shared = useSharedCluster();
  let folder = "";
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-cli-"));
  });
  after(() => {
    if (folder !== "") rmSync(folder, { recursive: true, force: true });
  });

  function ringdex(argumentList: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const { url, dataFolder } = shared.cluster;
    const env = { RINGDEX_NATS_URL: url, RINGDEX_DATA: dataFolder, ...options.env };
    return runProgram(process.execPath, [program, ...argumentList], { ...options, env });
  }

  /** What it prints; fails unless it ends well. */
  async function printed(...argumentList: string[]): Promise<string> {
    const ran = await ringdex(argumentList);
    expect(ran, argumentList.join(" ")).to.include({ code: 0 });
    return ran.out;
  }

  async function json<Type>(...argumentList: string[]): Promise<Type> {
    return JSON.parse(await printed(...argumentList, "--json")) as Type;
  }

  it("sets, gets, patches, increments, touches and deletes a key", async () => {
    const text = '{ "cli": "one",  "size": 1 }';
    expect(await printed("set", "cli.one", text)).to.match(/^created at revision \d+\n$/);
    expect(await printed("get", "cli.one")).to.equal(text);
    const one = await json<{ revision: number; value: unknown }>("get", "cli.one");
    expect(one.value).to.deep.equal({ cli: "one", size: 1 });
    const replaced = await json<object>("set", "cli.one", text, "--ttl", "1h");
    expect(replaced).to.deep.include({ created: false, revision: one.revision + 1 });
    expect(await printed("patch", "cli.one", '{"size":5}')).to.match(/^patched at revision/);
    expect(await printed("incr", "cli.one", "-3", "--path", "size")).to.equal("2\n");
    expect(await printed("touch", "cli.one", "--ttl", "2h")).to.match(/^expires 20\d\d-/);
    expect(await json("get", "cli.one")).to.have.property("expires_at");
    expect(await printed("del", "cli.one")).to.equal("deleted\n");
    expect(await printed("del", "cli.one")).to.equal("was not there\n");
  });

  it("ends with a code that a script can ask", async () => {
    const missing = await ringdex(["get", "cli.missing"]);
    expect(missing).to.deep.include({ code: 1, out: "" });
    expect(missing.stderr).to.contain("cli.missing");
    expect(await ringdex(["set", "cli.word", "hello"])).to.include({ code: 2, out: "" });
    const large = { stdin: `"${"x".repeat(300_000)}"` };
    expect(await ringdex(["set", "cli.large"], large)).to.include({ code: 3, out: "" });
    await printed("set", "cli.once", "1", "--create");
    expect(await ringdex(["set", "cli.once", "2", "--create"])).to.include({ code: 4, out: "" });
    expect(await printed("get", "cli.once")).to.equal("1");
    await printed("del", "cli.once");
    const nobody = { env: { RINGDEX_NATS_URL: "nats://127.0.0.1:1" } };
    const unreachable = await ringdex(["get", "cli.once"], nobody);
    expect(unreachable).to.include({ code: 5, out: "" });
    expect(unreachable.stderr).to.match(/nats:\/\/127\.0\.0\.1:1 .*ringdex(\.js)? up"/);
  });

  it("loads, finds, counts, lists and exports what others see", async () => {
    const rows = Array.from({ length: 300 }, (_, index) => ({ id: index, cliGroup: index % 3 }));
    const file = join(folder, "rows.ndjson");
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    await printed("load", file, "--key", "id", "--prefix", "cli.row.");
    const where = '{"cliGroup":1}';
    expect(await printed("count", where)).to.equal("100\n");
    expect(await json("count", where)).to.deep.equal({ count: 100 });
    const found = await printed("find", where, "--all", "--json");
    const keys = found
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { key: string }).key);
    const wanted = rows.filter(({ cliGroup }) => cliGroup === 1).map(({ id }) => `cli.row.${id}`);
    expect(keys).to.have.members(wanted);
    expect(keys).to.have.length(wanted.length);
    const table = await ringdex(["find", where, "--limit", "5", "--select", "id"]);
    expect(table.out).to.match(/^key +id\ncli\.row\./);
    expect(table.out.trim().split("\n")).to.have.length(6);
    expect(table.stderr).to.contain("there are more");

    const listed = (await printed("keys", "cli.row.")).trim().split("\n");
    expect(listed).to.deep.equal(rows.map(({ id }) => `cli.row.${id}`).toSorted());
    const exported = await printed("export", "cli.row.");
    expect(exported.trim().split("\n")).to.have.length(rows.length);
    await shared.db.batch(rows.map(({ id }) => ops.del(`cli.row.${id}`)));
    expect(await printed("count", where)).to.equal("0\n");
    const again = join(folder, "export.ndjson");
    writeFileSync(again, exported);
    await printed("load", again);
    expect(await printed("get", "cli.row.7")).to.equal(JSON.stringify(rows[7]));
    expect(await printed("count", where)).to.equal("100\n");
    await shared.db.batch(rows.map(({ id }) => ops.del(`cli.row.${id}`)));
  });

  it("does a batch, in part and as a whole", async () => {
    const part = '{"op":"set","key":"cli.a","value":1}\n{"op":"touch","key":"cli.b","ttl":"1h"}\n';
    const ran = await ringdex(["batch", "--json"], { stdin: part });
    expect(ran.code).to.equal(7);
    const [set, touch] = ran.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    expect(set).to.deep.include({ key: "cli.a", created: true });
    expect(touch).to.have.nested.property("error.name", "not-found");
    const file = join(folder, "batch.ndjson");
    const set7 = '{"op":"set","key":"cli.{7}.set","value":1}\n';
    writeFileSync(file, `${set7}{"op":"check","key":"cli.{7}.none","if_revision":99}\n`);
    expect((await ringdex(["batch", file, "--atomic"])).code).to.equal(4);
    expect(await ringdex(["get", "cli.{7}.set"])).to.include({ code: 1 });
    expect(await ringdex(["batch", "--atomic"], { stdin: set7 })).to.include({ code: 0 });
    expect(await printed("get", "cli.{7}.set")).to.equal("1");
    for (const key of ["cli.a", "cli.{7}.set"]) await shared.db.del(key);
  });

  it("watches changes, and ends after as many as asked", async () => {
    const watching = ringdex(["watch", "cli.seen.", "--count", "2", "--json", "--from", "10m"]);
    await printed("set", "cli.seen.one", '{"celsius":21}');
    await printed("del", "cli.seen.one");
    const { code, out } = await watching;
    const events = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    expect(events).to.have.length(2);
    expect(events[0]).to.deep.include({ op: "set", key: "cli.seen.one", value: { celsius: 21 } });
    expect(events[1]).to.deep.include({ op: "del", key: "cli.seen.one" });
    expect(code).to.equal(0);
  });

  it("shows status and ring, for people and as JSON", async () => {
    const [status, ring] = [await json<StatusReport>("status"), parseRing(await json("ring"))];
    expect(status.replicas).to.have.length(6);
    expect(ring.shards).to.have.length(3);
    const [shown, drawn] = [await printed("status"), await printed("ring")];
    for (const { shard, node } of status.replicas) {
      expect(shown).to.match(new RegExp(`^${shard} +${node} .*serving`, "m"));
    }
    for (const { shard, nodes } of ring.shards) {
      expect(drawn).to.match(new RegExp(`^${shard} +${nodes.join(" ")} `, "m"));
    }
  });

  it("prints the nodes' logs from files, and follows them until it is stopped", async () => {
    const lines = (await printed("logs", "--json", "--node", "n1", "-n", "20")).trim().split("\n");
    expect(lines.length).to.be.within(1, 20);
    for (const line of lines) expect(JSON.parse(line)).to.include({ node: "n1" });
    expect(await printed("logs", "-n", "200")).to.contain("the node serves");

    const stopping = new AbortController();
    let seen = "";
    const onOut = (out: string): void => void (seen = out);
    const following = ringdex(["logs", "-f"], { signal: stopping.signal, onOut });
    const line = '{"time":"now","level":"info","node":"n9","message":"hello from cli.test"}';
    // That it listens is said on stderr, which is read at the end only: said until it is heard.
    const isHeard = (): boolean => {
      shared.nats.publish("kv.node.n9.log.info", line);
      return seen.includes("hello from cli.test");
    };
    await until(isHeard, WAIT_MS, "a line that is followed");
    stopping.abort();
    expect(await following).to.include({ code: 0 });
  });

  it("prints the configuration for nats-server, and the one it would start", async () => {
    const conf = readFileSync(join(packageFolder(), "nats.conf"), "utf8");
    expect(await printed("nats-conf")).to.equal(conf);
    const binary = await findNatsServer();
    const named = await ringdex(["nats-server"], { env: { RINGDEX_NATS_SERVER: binary } });
    expect(named).to.include({ code: 0, out: `${binary}\n` });
  });

  it("does not start a second cluster on the same data", async () => {
    const ran = await ringdex(["up"], { env: { RINGDEX_NATS_URL: "" } });
    expect(ran).to.include({ code: 2, out: "" });
    expect(ran.stderr).to.contain("is in use by process").and.contain("ringdex down");
  });
});
