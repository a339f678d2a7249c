/**
 * Loading a file into a fake store: what is set, what is rejected, and going on after a stop.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
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

  it("loads all before text after an array, and says how many", async () => {
    write(`[${recordsOf(3).join(",")}]\n[{"id":"x"}]`);
    const failure = await start().catch((error: unknown) => error);
    expect(String(failure)).to.match(/text after the array's last "]".*stopped after 3 loaded/);
    expect(load.store.values.size).to.equal(3);
  });

  it("unpacks gzip, and goes on at its place in what comes out", async () => {
    writeFileSync(load.file, gzipSync(`${recordsOf(5_000).join("\n")}\n`));
    load.store.fail = (key) => key === "k2500";
    await start().catch(() => undefined);
    expect(load.store.values.size).to.be.within(1, 4_999);
    load.store.fail = () => false;
    const asked = load.store.keysAsked;
    await start();
    expect(load.store.values.size).to.equal(5_000);
    expect(load.store.keysAsked - asked).to.be.below(5_000);
  });

  it("says that gzip data are cut, having loaded what stands before", async () => {
    const packed = gzipSync(`${recordsOf(5_000).join("\n")}\n`);
    writeFileSync(load.file, packed.subarray(0, packed.length - 20));
    const failure = await start().catch((error: unknown) => error);
    expect(failure).to.include({ exit: "failed" });
    expect(String(failure)).to.match(/cannot be unpacked.*stopped after \d+ loaded/);
    expect(load.store.values.size).to.be.above(4_000);
  });

  it("reads an array within a document, with its key at a path", async () => {
    const features = recordsOf(3).map((record) => `{"properties":${record}}`);
    write(`{"type":"FeatureCollection","features":[${features.join(",\n")}],"more":[1]}`);
    await start({ path: "features", key: "properties.id" });
    expect([...load.store.values.keys()]).to.deep.equal(["k0", "k1", "k2"]);
  });

  it("refuses another kind of file before it loads anything, packed or not", async () => {
    for (const content of ["id,name\n1,a\n", gzipSync("id,name\n1,a\n")]) {
      writeFileSync(load.file, content);
      const failure = await start().catch((error: unknown) => error);
      expect(failure).to.include({ exit: "usage" });
      expect((failure as Error).message).to.equal(
        `${load.file} looks like CSV: make each row a JSON object on a line of its own, ` +
          "and name its key with --key",
      );
    }
    expect(load.store.keysAsked).to.equal(0);
    expect(load.errors).to.equal("");
  });

  it("says before it loads that it cannot remember its place, and how many are in", async () => {
    write(recordsOf(5_000));
    mkdirSync(`${load.file}.ringdex-load.new`);
    load.store.fail = (key) => key === "k4500";
    const failure = await start().catch((error: unknown) => error);
    expect(load.errors).to.match(
      /^cannot remember how far the load gets .*--state names a file\n$/,
    );
    expect(String(failure)).to.match(/stopped after [1-9]\d* loaded, 0 rejected$/);
    const asked = load.store.keysAsked;
    const state = `${load.file}.ringdex-load`;
    const refused = await start({ state }).catch((error: unknown) => error);
    expect(refused).to.include({ exit: "usage" });
    expect(load.store.keysAsked).to.equal(asked);
  });
});
