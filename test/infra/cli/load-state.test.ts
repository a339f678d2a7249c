/**
 * Load state: from which place a load goes on, and for whom.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect } from "chai";
import { runLoad } from "../../../infra/cli/load-command.js";
import { recordsOf, useLoad } from "./load-run.js";

describe("state of a load", () => {
  const load = useLoad();

  const { write, start, runOf } = load;

  it("stops at what says try again, and goes on there with the figures so far", async () => {
    write(["oops", ...recordsOf(5_000)]);
    load.store.fail = (key) => key === "k3500";
    const failure = await start().catch((error: unknown) => error);
    expect(failure).to.include({ exit: "unavailable" });
    expect(String(failure)).to.match(/nobody there; stopped after 2999 loaded, 1 rejected/);

    load.store.fail = () => false;
    const asked = load.store.keysAsked;
    load.errors = "";
    await start();
    expect(load.errors).to.match(/^going on at line 3001, after 2999 loaded/);
    expect(load.store.keysAsked - asked).to.equal(2_001);
    expect(load.store.values.size).to.equal(5_000);
    expect(load.output).to.match(/^loaded 5000, rejected 1;/);
    expect(load.exit).to.equal("partial");
  });

  it("does not take an earlier place for another file, other options, or --restart", async () => {
    for (const change of [
      () => write(["1", ...recordsOf(3_000)]),
      () => ({ key: "id", prefix: "other." }),
      () => ({ key: "id", prefix: "", restart: true as const }),
    ]) {
      write(recordsOf(3_000));
      load.store.fail = (key) => key.endsWith("k2500");
      await start().catch(() => undefined);
      expect(existsSync(`${load.file}.ringdex-load`)).to.equal(true);
      load.store.fail = () => false;
      const asked = load.store.keysAsked;
      await start(change() ?? {});
      expect(load.store.keysAsked - asked).to.equal(3_000);
    }
  });

  it("stops when it is told to, and can go on", async () => {
    write(recordsOf(5_000));
    const stopping = new AbortController();
    load.store.pauseOf = (call) => {
      if (call === 2) stopping.abort();
      return 0;
    };
    const failure = await start({}, stopping.signal).catch((error: unknown) => error);
    expect(String(failure)).to.match(/^CommandFailed: stopped after \d+ loaded/);
    expect(failure).to.include({ exit: "stopped" });
    await start();
    expect(load.store.values.size).to.equal(5_000);
  });

  it("reads stdin, without a place to go on", async () => {
    const source = { known: undefined, open: () => Readable.from([Buffer.from('{"id":"a"}')]) };
    write([]);
    await runLoad({ ...runOf({}), file: "-", source });
    expect([...load.store.values.keys()]).to.deep.equal(["a"]);
    expect(existsSync(join(load.folder, "-.ringdex-load"))).to.equal(false);
  });
});
