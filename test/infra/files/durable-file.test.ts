/**
 * A file that must be whole after a power cut.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { writeDurably } from "../../../infra/files/durable-file.js";
import { diskAt, readImage } from "../../power-cut/cut.js";
import { losses } from "../../power-cut/disk.js";
import { straceCommand, traceProblem } from "../../power-cut/trace.js";
import { seededChance } from "../../support/manual-clock.js";
import { runProgram } from "../../support/run-program.js";

describe("a file written durably", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-durable-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it("takes the place of the one before, and leaves nothing else", async () => {
    writeFileSync(join(folder, "a.json"), "old and longer");
    await writeDurably(join(folder, "a.json"), "new");
    expect(readFileSync(join(folder, "a.json"), "utf8")).to.equal("new");
    expect(readdirSync(folder)).to.deep.equal(["a.json"]);
  });

  it("is there, and whole, if the power goes right after", async function () {
    const problem = traceProblem();
    if (problem !== undefined) {
      if (this.test !== undefined) this.test.title += ` (${problem})`;
      this.skip();
    }
    const [root, traceFile] = [join(folder, "disk"), join(folder, "trace")];
    const module = fileURLToPath(new URL("../../../infra/files/durable-file.js", import.meta.url));
    const script =
      `import { mkdirSync } from "node:fs"; import { writeDurably } from "${module}";` +
      `mkdirSync("${root}"); await writeDurably("${root}/a.json", "new");`;
    const [file = "", ...argumentList] = straceCommand(traceFile);
    const node = [process.execPath, "--input-type=module", "-e", script];
    const ran = await runProgram(file, [...argumentList, ...node]);
    expect(ran.stderr).to.equal("");
    expect((await readImage(root)).files.size).to.equal(1);
    const disk = diskAt({ root, base: { files: new Map(), folders: new Set() }, traceFile });
    for (const loss of losses) {
      const { files } = disk.after(loss, seededChance(1));
      expect(files.get("a.json")?.toString(), loss).to.equal("new");
    }
  });
});
