/**
 * find, count and keys at the command line.
 */
import { expect } from "chai";
import { useCommandLine } from "./command-line.js";
import { ok } from "./command-run.js";

describe("query commands", function () {
  const cli = useCommandLine();

  const { run } = cli;

  describe("find, count and keys", () => {
    const item = { key: "delhi", value: { name: "Delhi", geo: { lat: 28.6 } }, revision: 3 };
    const items = [item, { key: "x\ny", value: { name: "X" }, revision: 1 }];

    it("find shows keys and selected attributes, cut to the terminal", async () => {
      cli.store.onJson = () => ({ items, complete: true });
      const argumentList = ["find", '{"country":"IN"}', "--select", "name,geo.lat"];
      const { out, code } = await run(argumentList, { columns: 40 });
      expect(code).to.equal(0);
      expect(out).to.equal("key    name   geo.lat\ndelhi  Delhi     28.6\nx\\ny   X\n");
      expect(cli.store.jsonAsked.at(-1)?.body).to.deep.include({
        where: { country: "IN" },
        select: ["name", "geo.lat"],
        limit: 100,
      });
    });

    it("find says that there is more, and --all gets it", async () => {
      cli.store.onJson = (_, { cursor }) =>
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
      expect(cli.store.jsonAsked).to.deep.equal([]);
    });

    it("find ends with 5 where shards are missing", async () => {
      cli.store.onJson = () => ({ items, complete: false });
      expect(await run(["find", "{}", "--partial"])).to.deep.include({ code: 5 });
    });

    it("count prints a number", async () => {
      cli.store.onJson = () => ({ count: 42, complete: true });
      expect(await run(["count", '{"a":1}'])).to.deep.equal(ok("42\n"));
      expect(await run(["count", "--json"])).to.deep.equal(ok('{"count":42}\n'));
    });

    it("find prints separated values for other programs", async () => {
      cli.store.onJson = (_, { cursor }) =>
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
      cli.store.onJson = () => ({ keys: ["a", "a\nb"] });
      expect(await run(["keys", "a"])).to.deep.equal(ok("a\na\\nb\n"));
      expect(cli.store.jsonAsked.at(-1)?.body).to.include({ prefix: "a" });
      expect(await run(["keys", "--json"])).to.deep.equal(ok('"a"\n"a\\nb"\n'));
    });
  });
});
