/**
 * Loading a file into a fake store: what is set, what is rejected, and going on after a stop.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import type { ExitName } from "../../../infra/cli/exit-codes.js";
import { runLoad, sourceOf, type LoadRun } from "../../../infra/cli/load-command.js";
import { runCli } from "../../../infra/cli/program.js";
import { BatchError } from "../../../infra/client/client-errors.js";
import type { Outcome, SetManyEntry } from "../../../infra/client/options.js";
import { systemClock } from "../../../infra/clock.js";
import { KvError } from "../../../protocol/errors.js";

describe("load", () => {
  let folder: string;
  let file: string;
  let store: FakeStore;
  let errors: string;
  let output: string;
  let exit: ExitName;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-load-"));
    file = join(folder, "records.ndjson");
    store = new FakeStore();
    [errors, output, exit] = ["", "", "ok"];
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("sets each record, and forgets about the file when all are set", async () => {
    write(recordsOf(2_500));
    await start();
    expect(store.values.size).to.equal(2_500);
    expect(store.values.get("k7")).to.equal('{"id":"k7","n":7}');
    expect(output).to.match(/^loaded 2500, rejected 0; \d+\/s\n$/);
    expect(exit).to.equal("ok");
    expect(existsSync(`${file}.ringdex-load`)).to.equal(false);
  });

  it("takes an array as well as lines", async () => {
    write(`[${recordsOf(3).join(",\n")}]`);
    await start();
    expect([...store.values.keys()]).to.deep.equal(["k0", "k1", "k2"]);
  });

  it("lists rejected lines in order with their reason, and goes on", async () => {
    store.refuse = (key) => (key === "k1" ? new KvError("too-large", "is large") : undefined);
    write(["oops", ...recordsOf(2), '{"no":"id"}']);
    await start();
    expect(errors.split("\n").map((line) => line.split(":", 2).join(":"))).to.deep.equal([
      "line 1: bad-request",
      "line 3: too-large",
      "line 4: bad-request",
      "",
    ]);
    expect(store.values.size).to.equal(1);
    expect(output).to.match(/^loaded 1, rejected 3;/);
    expect(exit).to.equal("partial");
  });

  it("lists only the first rejected lines on a terminal, and all elsewhere", async () => {
    write(Array.from({ length: 30 }, () => '{"no":"id"}'));
    await start();
    expect(errors.match(/^line \d+: /gm)).to.have.length(30);
    const terminal = new PassThrough();
    await runLoad({ ...runOf({}), context: { ...runOf({}).context, bar: terminal } });
    const shown = String(terminal.read());
    expect(shown.match(/line \d+: /g)).to.have.length(10);
    expect(shown.match(/more are rejected/g)).to.have.length(1);
    expect(output).to.match(/^loaded 0, rejected 30;/);
  });

  it("asks for --key where nothing could be loaded", async () => {
    write(['{"no":"id"}']);
    await start();
    expect(errors).to.match(/nothing was loaded: is "id" \(--key\)/);
    errors = "";
    await start({ key: undefined });
    expect(errors).to.match(/line 1: .*\nnothing was loaded: .*--key FIELD\n$/);
    errors = "";
    write(['{"no":"id"}', ...recordsOf(1)]);
    await start();
    expect(errors).not.to.contain("nothing was loaded");
  });

  it("says of a folder that it is one", async () => {
    write([]);
    const source = sourceOf(folder, Readable.from([]));
    const failure = await runLoad({ ...runOf({}), file: folder, source }).catch(String);
    expect(failure).to.match(/cannot read .*: it is a folder/);
  });

  it("leaves the later one of two records with one key, however long the first takes", async () => {
    const lines = recordsOf(1_000);
    const again = lines.map((line) => line.replace('"n":', '"again":'));
    store.pauseOf = (call) => (call === 0 ? 20 : 0);
    write([...lines, ...again]);
    await start();
    expect(store.values.get("k0")).to.equal('{"id":"k0","again":0}');
    expect(store.underWayMost).to.equal(1);
  });

  it("has several requests under way where keys differ", async () => {
    write(recordsOf(10_000));
    await start();
    expect(store.underWayMost).to.be.greaterThan(1);
  });

  it("stops at what says try again, and goes on there with the figures so far", async () => {
    write(["oops", ...recordsOf(5_000)]);
    store.fail = (key) => key === "k3500";
    const failure = await start().catch((error: unknown) => error);
    expect(failure).to.include({ exit: "unavailable" });
    expect(String(failure)).to.match(/nobody there; stopped after 2999 loaded, 1 rejected/);

    store.fail = () => false;
    const asked = store.keysAsked;
    errors = "";
    await start();
    expect(errors).to.match(/^going on at line 3001, after 2999 loaded/);
    expect(store.keysAsked - asked).to.equal(2_001);
    expect(store.values.size).to.equal(5_000);
    expect(output).to.match(/^loaded 5000, rejected 1;/);
    expect(exit).to.equal("partial");
  });

  it("does not take an earlier place for another file, other options, or --restart", async () => {
    for (const change of [
      () => write(["1", ...recordsOf(3_000)]),
      () => ({ key: "id", prefix: "other." }),
      () => ({ key: "id", prefix: "", restart: true as const }),
    ]) {
      write(recordsOf(3_000));
      store.fail = (key) => key.endsWith("k2500");
      await start().catch(() => undefined);
      expect(existsSync(`${file}.ringdex-load`)).to.equal(true);
      store.fail = () => false;
      const asked = store.keysAsked;
      await start(change() ?? {});
      expect(store.keysAsked - asked).to.equal(3_000);
    }
  });

  it("loads what stands before the cut of a file that breaks off", async () => {
    write(`[${recordsOf(3).join(",")},{"id":`);
    const failure = await start().catch((error: unknown) => error);
    expect(failure).to.include({ exit: "failed" });
    expect(String(failure)).to.match(/"\]" is missing.*stopped after 3 loaded/);
    expect(store.values.size).to.equal(3);
  });

  it("stops when it is told to, and can go on", async () => {
    write(recordsOf(5_000));
    const stopping = new AbortController();
    store.pauseOf = (call) => {
      if (call === 2) stopping.abort();
      return 0;
    };
    const failure = await start({}, stopping.signal).catch((error: unknown) => error);
    expect(String(failure)).to.match(/^CommandFailed: stopped after \d+ loaded/);
    expect(failure).to.include({ exit: "stopped" });
    await start();
    expect(store.values.size).to.equal(5_000);
  });

  it("loads all before text after an array, and says how many", async () => {
    write(`[${recordsOf(3).join(",")}]\n[{"id":"x"}]`);
    const failure = await start().catch((error: unknown) => error);
    expect(String(failure)).to.match(/text after the array's last "]".*stopped after 3 loaded/);
    expect(store.values.size).to.equal(3);
  });

  it("unpacks gzip, and goes on at its place in what comes out", async () => {
    writeFileSync(file, gzipSync(`${recordsOf(5_000).join("\n")}\n`));
    store.fail = (key) => key === "k2500";
    await start().catch(() => undefined);
    expect(store.values.size).to.be.within(1, 4_999);
    store.fail = () => false;
    const asked = store.keysAsked;
    await start();
    expect(store.values.size).to.equal(5_000);
    expect(store.keysAsked - asked).to.be.below(5_000);
  });

  it("says that gzip data are cut, having loaded what stands before", async () => {
    const packed = gzipSync(`${recordsOf(5_000).join("\n")}\n`);
    writeFileSync(file, packed.subarray(0, packed.length - 20));
    const failure = await start().catch((error: unknown) => error);
    expect(failure).to.include({ exit: "failed" });
    expect(String(failure)).to.match(/cannot be unpacked.*stopped after \d+ loaded/);
    expect(store.values.size).to.be.above(4_000);
  });

  it("reads an array within a document, with its key at a path", async () => {
    const features = recordsOf(3).map((record) => `{"properties":${record}}`);
    write(`{"type":"FeatureCollection","features":[${features.join(",\n")}],"more":[1]}`);
    await start({ path: "features", key: "properties.id" });
    expect([...store.values.keys()]).to.deep.equal(["k0", "k1", "k2"]);
  });

  it("refuses another kind of file before it loads anything, packed or not", async () => {
    for (const content of ["id,name\n1,a\n", gzipSync("id,name\n1,a\n")]) {
      writeFileSync(file, content);
      const failure = await start().catch((error: unknown) => error);
      expect(failure).to.include({ exit: "usage" });
      expect((failure as Error).message).to.equal(
        `${file} looks like CSV: make each row a JSON object on a line of its own, ` +
          "and name its key with --key",
      );
    }
    expect(store.keysAsked).to.equal(0);
    expect(errors).to.equal("");
  });

  it("says before it loads that it cannot remember its place, and how many are in", async () => {
    write(recordsOf(5_000));
    mkdirSync(`${file}.ringdex-load.new`);
    store.fail = (key) => key === "k4500";
    const failure = await start().catch((error: unknown) => error);
    expect(errors).to.match(/^cannot remember how far the load gets .*--state names a file\n$/);
    expect(String(failure)).to.match(/stopped after [1-9]\d* loaded, 0 rejected$/);
    const asked = store.keysAsked;
    const state = `${file}.ringdex-load`;
    const refused = await start({ state }).catch((error: unknown) => error);
    expect(refused).to.include({ exit: "usage" });
    expect(store.keysAsked).to.equal(asked);
  });

  it("reads stdin, without a place to go on", async () => {
    const source = { known: undefined, open: () => Readable.from([Buffer.from('{"id":"a"}')]) };
    write([]);
    await runLoad({ ...runOf({}), file: "-", source });
    expect([...store.values.keys()]).to.deep.equal(["a"]);
    expect(existsSync(join(folder, "-.ringdex-load"))).to.equal(false);
  });

  it("names a file that cannot be read, before anything is connected", async () => {
    let stderr = "";
    const code = await runCli(["load", join(folder, "none")], {
      env: {},
      stdin: Readable.from([]),
      out: () => undefined,
      stderr: (text) => (stderr += text),
      isTerminal: false,
      stopping: new AbortController().signal,
    });
    expect(code).to.equal(2);
    expect(stderr).to.match(/cannot read .*none: there is no such file\n$/);
  });

  function write(content: readonly string[] | string): void {
    writeFileSync(file, typeof content === "string" ? content : `${content.join("\n")}\n`);
  }

  async function start(flags: object = {}, stopping?: AbortSignal): Promise<void> {
    output = "";
    await runLoad(runOf(flags, stopping));
  }

  function runOf(flags: object, stopping = new AbortController().signal): LoadRun {
    const context = {
      out: (text: string | Uint8Array) => {
        output += String(text);
        return Promise.resolve();
      },
      stderr: (text: string) => void (errors += text),
      bar: undefined,
      exit: (name: ExitName) => void (exit = name),
      stopping,
    };
    const target = { store, url: "nats://fake", storeName: "kv" };
    const source = sourceOf(file, Readable.from([]));
    return {
      file,
      source,
      flags: { key: "id", prefix: "", ...flags },
      target,
      context,
      clock: systemClock,
    };
  }
});

class FakeStore {
  readonly values = new Map<string, string>();
  refuse: (key: string) => KvError | undefined = () => undefined;
  fail: (key: string) => boolean = () => false;
  pauseOf: (call: number) => number = () => 0;
  underWayMost = 0;
  keysAsked = 0;
  #underWay = 0;
  #calls = 0;

  async setMany(entries: Iterable<SetManyEntry<unknown>>): Promise<void> {
    const list = [...entries];
    this.#underWay += 1;
    this.underWayMost = Math.max(this.underWayMost, this.#underWay);
    this.keysAsked += list.length;
    const pauseMs = this.pauseOf(this.#calls++);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    this.#underWay -= 1;
    const outcomes = list.map(({ key, value }): Outcome<undefined> => {
      const unavailable = this.fail(key) ? new KvError("unavailable", "nobody there") : undefined;
      const error = unavailable ?? this.refuse(key);
      if (error !== undefined) return { ok: false, error };
      this.values.set(key, Buffer.from(value as Uint8Array).toString());
      return { ok: true, result: undefined };
    });
    const failed = outcomes.find((outcome) => !outcome.ok);
    if (failed?.ok === false) throw new BatchError(outcomes, failed.error);
  }
}

function recordsOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `{"id":"k${index}","n":${index}}`);
}
