/**
 * export, and load of what it wrote.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { useCommandLine } from "./command-line.js";

describe("export command", function () {
  const cli = useCommandLine();

  const { run } = cli;

  it("load sets what export wrote", async () => {
    await run(["set", "a", '{"n":1.50}']);
    await run(["set", "b", "x\ny", "--text"]);
    cli.store.onJson = () => ({ keys: ["a", "b", "gone"] });
    const { out, stderr } = await run(["export"]);
    expect(stderr).to.equal("exported 2 records\n");
    const [a, b] = [cli.store.records.get("a")?.value, cli.store.records.get("b")?.value];
    cli.store.records.clear();
    const file = join(cli.folder, "all.ndjson");
    writeFileSync(file, out);
    const loaded = await run(["load", file, "--json"]);
    expect(loaded.code).to.equal(0);
    expect(JSON.parse(loaded.out)).to.deep.include({ loaded: 2, rejected: 0, expired: 0 });
    expect(cli.store.records.get("a")).to.deep.include({ value: a, contentType: 0 });
    expect(cli.store.records.get("b")).to.deep.include({ value: b, contentType: 2 });
  });
});
