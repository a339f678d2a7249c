/**
 * The commands that talk to a store, each run as typed, against a fake store on a real nats-server.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { exitCodes } from "../../../infra/cli/exit-codes.js";
import { packageFolder } from "../../../infra/files/package-version.js";
import { errorBody } from "../client/fake-store.js";
import { useCommandLine } from "./command-line.js";

describe("store commands", function () {
  this.timeout(20_000);

  const cli = useCommandLine();

  const { run } = cli;

  it("load ends with 7 and the line where the store refuses a record", async () => {
    cli.store.onOperation = ({ body }) =>
      body["key"] === "c.2" ? errorBody("too-large", 413) : "done";
    const stdin = '[{"id":1},\n{"id":2}]';
    const { code, out, stderr } = await run(["load", "-", "--key", "id", "--prefix", "c."], {
      stdin,
    });
    expect(stderr).to.equal("line 2: too-large: fake too-large\n");
    const bad = await run(["load", "-"], { stdin: "oops\n" });
    expect(bad.stderr)
      .to.match(/^line 1: bad-request: no JSON: /)
      .and.not.contain("Content-Type");
    expect(out).to.match(/^loaded 1, rejected 1;/);
    expect(code).to.equal(7);
  });

  it("have help that names their options", async () => {
    for (const name of ["set", "get", "del", "patch", "incr", "touch", "batch", "find", "count"]) {
      await expectHelp(name);
    }
    for (const name of ["keys", "watch", "logs", "status", "ring", "load", "export"]) {
      await expectHelp(name);
    }
  });

  it("end with the codes that docs/cli.md lists", () => {
    const text = readFileSync(join(packageFolder(), "docs", "cli.md"), "utf8");
    const rows = [...text.matchAll(/^\| (\d+) +\| (.*?) +\|$/gm)];
    const told = rows.map(([, code, about]) => ({ code: Number(code), about }));
    expect(
      told.map(({ about, ...row }) => ({ ...row, about: about?.replaceAll("`", "") })),
    ).to.deep.equal(Object.values(exitCodes));
  });

  async function expectHelp(name: string): Promise<void> {
    const { code, out } = await run([name, "--help"]);
    expect(code).to.equal(0);
    expect(out, name).to.contain(`Usage: ringdex ${name}`).and.contain("--server");
  }
});
