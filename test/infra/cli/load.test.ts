/**
 * Loading a file into a fake store: what is set, what is rejected, and going on after a stop.
 */
import { existsSync } from "node:fs";
import { expect } from "chai";
import { recordsOf, useLoad } from "./load-run.js";

describe("load", () => {
  const load = useLoad();

  const { write, start } = load;

  it("sets each record, and forgets about the file when all are set", async () => {
    write(recordsOf(2_500));
    await start();
    expect(load.store.values.size).to.equal(2_500);
    expect(load.store.values.get("k7")).to.equal('{"id":"k7","n":7}');
    expect(load.output).to.match(/^loaded 2500, rejected 0; \d+\/s\n$/);
    expect(load.exit).to.equal("ok");
    expect(existsSync(`${load.file}.ringdex-load`)).to.equal(false);
  });

  it("takes an array as well as lines", async () => {
    write(`[${recordsOf(3).join(",\n")}]`);
    await start();
    expect([...load.store.values.keys()]).to.deep.equal(["k0", "k1", "k2"]);
  });

  it("asks for --key where nothing could be loaded", async () => {
    write(['{"no":"id"}']);
    await start();
    expect(load.errors).to.match(/nothing was loaded: is "id" \(--key\)/);
    load.errors = "";
    await start({ key: undefined });
    expect(load.errors).to.match(/line 1: .*\nnothing was loaded: .*--key FIELD\n$/);
    load.errors = "";
    write(['{"no":"id"}', ...recordsOf(1)]);
    await start();
    expect(load.errors).not.to.contain("nothing was loaded");
  });

  it("leaves the later one of two records with one key, however long the first takes", async () => {
    const lines = recordsOf(1_000);
    const again = lines.map((line) => line.replace('"n":', '"again":'));
    load.store.pauseOf = (call) => (call === 0 ? 20 : 0);
    write([...lines, ...again]);
    await start();
    expect(load.store.values.get("k0")).to.equal('{"id":"k0","again":0}');
    expect(load.store.underWayMost).to.equal(1);
  });

  it("has several requests under way where keys differ", async () => {
    write(recordsOf(10_000));
    await start();
    expect(load.store.underWayMost).to.be.greaterThan(1);
  });

  it("loads what stands before the cut of a file that breaks off", async () => {
    write(`[${recordsOf(3).join(",")},{"id":`);
    const failure = await start().catch((error: unknown) => error);
    expect(failure).to.include({ exit: "failed" });
    expect(String(failure)).to.match(/"\]" is missing.*stopped after 3 loaded/);
    expect(load.store.values.size).to.equal(3);
  });
});
