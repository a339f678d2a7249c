/**
 * The command line against a running cluster: what was loaded is found, exported and loaded again.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect } from "chai";
import { runCli } from "../../infra/cli/program.js";
import { useSharedCluster } from "../support/shared-cluster.js";

describe("command line on a cluster", function () {
  this.timeout(60_000);
  const shared = useSharedCluster();
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-cli-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  it("loads records, finds them, and exports what loads to the same", async () => {
    const cities = Array.from({ length: 3_000 }, (_, index) => ({
      id: `c${String(index).padStart(4, "0")}`,
      cli_country: index % 3 === 0 ? "IN" : "BR",
      cli_population: index * 1_000,
    }));
    const file = join(folder, "cities.json");
    writeFileSync(file, JSON.stringify(cities));
    const loaded = await run(["load", file, "--key", "id", "--prefix", "cli-city.", "--json"]);
    expect(JSON.parse(loaded)).to.include({ loaded: 3_000, rejected: 0 });

    expect(await run(["count", '{"cli_country":"IN"}'])).to.equal("1000\n");
    const where = '{"cli_country":"IN","cli_population":{"$gte":2997000}}';
    expect(await run(["find", where, "--select", "cli_population"])).to.match(
      /^key +cli_population\ncli-city\.c2997 +2997000\n$/,
    );
    const keys = (await run(["keys", "cli-city."])).trimEnd().split("\n");
    expect(keys).to.deep.equal(cities.map(({ id }) => `cli-city.${id}`));

    const exported = await run(["export", "cli-city."]);
    const copy = join(folder, "copy.ndjson");
    writeFileSync(copy, exported);
    await run(["load", copy, "--prefix", "cli-copy."]);
    const again = await run(["export", "cli-copy."]);
    expect(withoutPlace(again)).to.deep.equal(
      withoutPlace(exported).map((record) => ({
        ...record,
        key: `cli-copy.${String(record["key"])}`,
      })),
    );
  });

  it("sets, changes and deletes one key", async () => {
    expect(await run(["set", "cli.a", '{"cli_stock":1}'])).to.match(/^created at revision \d+\n$/);
    expect(await run(["patch", "cli.a", '{"name":"x"}'])).to.match(/^patched/);
    expect(await run(["incr", "cli.a", "-3", "--path", "cli_stock"])).to.equal("-2\n");
    expect(JSON.parse(await run(["get", "cli.a"]))).to.deep.equal({ cli_stock: -2, name: "x" });
    expect(await run(["touch", "cli.a", "--ttl", "1h"])).to.match(/^expires 2/);
    expect(await run(["del", "cli.a"])).to.equal("deleted\n");
    await run(["get", "cli.a"], 1);
  });

  it("does a batch, and all or nothing of an atomic one", async () => {
    const ops = ['{"op":"set","key":"{b}1","value":1}', '{"op":"set","key":"{b}2","value":2}'];
    await run(["batch", "--atomic"], 0, ops.join("\n"));
    const failing = [ops[0], '{"op":"check","key":"{b}2","if_revision":0}'].join("\n");
    await run(["batch", "--atomic"], 4, failing);
    expect(await run(["get", "{b}2"])).to.equal("2");
  });

  it("shows status and ring", async () => {
    expect(await run(["status"])).to.match(/^s1 +n\d+ +home +serving/m);
    const ring = JSON.parse(await run(["ring", "--json"])) as { readonly store: string };
    expect(ring.store).to.equal("kv");
  });

  async function run(args: readonly string[], codeExpected = 0, stdin = ""): Promise<string> {
    let [out, err] = ["", ""];
    const code = await runCli(args, {
      env: { RINGDEX_NATS_URL: shared.cluster.url },
      stdin: Readable.from([Buffer.from(stdin)]),
      out: (text) => (out += Buffer.from(text as string).toString()),
      err: (text) => (err += text),
      isTerminal: false,
      stopping: new AbortController().signal,
    });
    expect(code, err).to.equal(codeExpected);
    return out;
  }
});

function withoutPlace(ndjson: string): Record<string, unknown>[] {
  return ndjson
    .trimEnd()
    .split("\n")
    .map((line) => {
      const {
        revision: _revision,
        updated_at: _at,
        ...record
      } = JSON.parse(line) as Record<string, unknown>;
      return record;
    });
}
