/**
 * Timed lines: each line begins with its time.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect } from "chai";
import { RunContext } from "../../../infra/cli/context.js";
import { runCli } from "../../../infra/cli/program.js";

describe("ringdex up --times", () => {
  it("begins lines with the time, those that say why it fails included", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ringdex-times-"));
    writeFileSync(join(folder, "ringdex.json"), '{"format":99}');
    let stderr = "";
    const all = {
      ...io({ RINGDEX_DATA: folder }),
      stderr: (text: string) => void (stderr += text),
    };
    expect(await runCli(["up", "--times"], all)).to.equal(2);
    expect(stderr).to.match(/^\d{4}-\d\d-\d\dT[\d:.]+Z ringdex: .*format 99/);
    stderr = "";
    const file = join(folder, "up.log");
    expect(await runCli(["up", "--times", "--log-file", file], all)).to.equal(2);
    expect(stderr).to.equal("");
    expect(readFileSync(file, "utf8")).to.match(/^\d{4}-.*Z ringdex: .*format 99.*\n$/);
    rmSync(folder, { recursive: true });
  });
});

function io(env: NodeJS.ProcessEnv): ConstructorParameters<typeof RunContext>[0] {
  return {
    env,
    stdin: Readable.from([]),
    out: () => undefined,
    stderr: () => undefined,
    isTerminal: false,
    stopping: new AbortController().signal,
  };
}
