/**
 * The demo as a program, on few cities: it ends well, and does not where one byte was changed.
 */
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { changeOneByte } from "./damage.js";

interface Ended {
  readonly code: number;
  readonly text: string;
}

describe("demo", function () {
  this.timeout(180_000);
  let ended: Ended;
  let folder = "";
  before(async () => {
    ended = await run("demo.js", [], { RINGDEX_DEMO_CITIES: "1000", RINGDEX_DEMO_KEEP: "1" });
    folder = keptFolder(ended.text);
  });
  after(() => {
    if (folder !== "") rmSync(folder, { recursive: true, force: true });
  });

  it("tells its story, all checks hold, and it exits with 0", () => {
    expect(ended.text).to.match(/checks +all hold\n/);
    expect(ended.code, ended.text).to.equal(0);
    const names = ["load", "gets", "reverse lookup", "update", "delete", "conditional write"];
    for (const name of [...names, "events", "kill -9", "catch-up", "read back", "final check"]) {
      expect(ended.text).to.match(new RegExp(`^ +\\d+\\.\\d\\d s  ${name} `, "m"));
    }
    expect(ended.text).to.match(/1,000 cities, .*\/s\n/);
    const inFlight = Number(/with (\d+) requests in flight/.exec(ended.text)?.[1]);
    expect(inFlight).to.be.at.least(64);
    expect(ended.text).to.match(/writes acknowledged .* sent again, 0 failed/);
  });

  it("leaves stores that its check passes, until one byte is changed", async () => {
    const before = await run("check-stores-program.js", [folder]);
    expect(before.text).to.match(/^6 stores, \d+ records and \d+ index rows, 0 problems\n$/);
    expect(before.code).to.equal(0);
    changeOneByte(folder, "n3");
    const after = await run("check-stores-program.js", [folder]);
    expect(after.text).to.match(/^s\d on (n3|n\d and n3): /m);
    expect(after.code).to.equal(1);
  });

  it("fails, names the store and exits with 1 when one byte of one store was changed", async () => {
    const env = { RINGDEX_DEMO_CITIES: "300", RINGDEX_DEMO_DAMAGE: "1" };
    const damaged = await run("demo.js", [], env);
    rmSync(keptFolder(damaged.text), { recursive: true, force: true });
    expect(damaged.text).to.match(/^ +.*s\d on (n3|n\d and n3): /m);
    expect(damaged.text).to.match(/checks +FAILED: \d+\n/);
    expect(damaged.code).to.equal(1);
  });
});

function keptFolder(text: string): string {
  const folder = /the data are kept in (.*)\n/.exec(text)?.[1];
  expect(folder, text).to.be.a("string");
  return folder ?? "";
}

function run(
  program: string,
  argumentList: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout: 170_000 };
    const child = execFile(
      process.execPath,
      [file, ...argumentList],
      options,
      (_error, stdout, stderr) => {
        resolve({ code: child.exitCode ?? -1, text: stdout + stderr });
      },
    );
  });
}
