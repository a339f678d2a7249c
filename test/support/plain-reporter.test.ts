/** Runs mocha on two files made for it, once for each way of running them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { packageFolder } from "../../infra/files/package-version.js";
import { runProgram, type Ran } from "./run-program.js";

const reporter = fileURLToPath(new URL("plain-reporter.js", import.meta.url));
const mocha = join(packageFolder(), "node_modules", "mocha", "bin", "mocha.js");
const wait = "new Promise((resolve) => setTimeout(resolve, 300))";

describe("PlainReporter", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-reporter-"));
    // Half of the slow file's time is its hook's.
    write("slow", `before(() => ${wait}); it("takes its time", () => ${wait}); it.skip("waits");`);
    write("quick", `it("ends at once", () => {}); it("fails", () => { throw new Error("no"); });`);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  function write(name: string, text: string): void {
    writeFileSync(join(folder, `${name}.test.mjs`), `describe("${name}", () => { ${text} });\n`);
  }

  function run(names: readonly string[], options: readonly string[]): Promise<Ran> {
    const files = names.map((name) => join(folder, `${name}.test.mjs`));
    const cwd = packageFolder();
    return runProgram(process.execPath, [mocha, ...options, "--reporter", reporter, ...files], {
      cwd,
    });
  }

  for (const options of [[], ["--parallel", "--jobs", "2"]]) {
    it(`tells the slowest files and then the counts: mocha ${options.join(" ")}`, async () => {
      const { code, out } = await run(["quick", "slow"], options);
      expect(code).to.equal(1);
      const lines = out.trimEnd().split("\n");
      expect(lines.at(-1)).to.equal("2 passed, 1 failed, 1 skipped");
      const rows = lines.slice(lines.indexOf("slowest files:") + 1, -2);
      const found = rows.map((row) => /^ +(\d+\.\d) s {2}\S*?(\w+)\.test\.mjs$/.exec(row) ?? []);
      expect(found.map(([, , name]) => name)).to.deep.equal(["slow", "quick"]);
      expect(Number(found[0]?.[1])).to.be.within(0.5, 10);
    });
  }

  it("tells no slowest file where there is one only", async () => {
    const { out } = await run(["quick"], []);
    expect(out).to.not.contain("slowest files");
    expect(out.trimEnd().split("\n").at(-1)).to.equal("1 passed, 1 failed");
  });
});
