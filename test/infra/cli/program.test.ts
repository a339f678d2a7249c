/**
 * The program as a whole: its help, and options before a command.
 */
import { Readable } from "node:stream";
import { expect } from "chai";
import { runCli } from "../../../infra/cli/program.js";
import { settingsTable } from "../../../infra/settings/config.js";

describe("help", () => {
  it("shows how to connect on a page of its own, not with each command", async () => {
    const { out } = await run(["get", "--help"]);
    for (const option of ["--server", "--store", "--data"]) expect(out).to.contain(option);
    expect(out).not.to.contain("--nats-creds");
    expect(out).to.contain("ringdex help connection").and.not.contain("RINGDEX_NATS_PASSWORD");
    expect(out.split("\n").length).to.be.below(25);
    const page = await run(["help", "connection"]);
    expect(page.code).to.equal(0);
    for (const { name, flag, variable } of settingsTable) {
      if (name.startsWith("nats") && name !== "natsServer") {
        expect(page.out).to.contain(flag === undefined ? variable : `--${flag} `);
      }
    }
    expect((await run(["connection"])).out).to.equal(page.out);
  });

  it("has nothing that is not built", async () => {
    expect((await run(["find", "--help"])).out).not.to.contain("--order");
  });
});

describe("options before a command", () => {
  it("count for it, and one behind it wins", async () => {
    const stderrOf = async (...list: string[]): Promise<string> => (await run(list)).stderr;
    const one = "127.0.0.1:1";
    expect(await stderrOf("-s", one, "get", "a")).to.match(/cannot reach nats:\/\/127\.0\.0\.1:1 /);
    expect(await stderrOf("--nats-url", "127.0.0.1:2", "get", "a", "-s", one)).to.match(/0\.1:1 /);
    expect(await stderrOf("--data", "none-there", "status")).to.match(
      /no cluster runs on none-there/,
    );
  });

  it("are refused where they say nothing, and where they are unknown", async () => {
    const { code, stderr } = await run(["--store", "a", "nats-server"]);
    expect(code).to.equal(2);
    expect(stderr).to.match(/--store before the command says nothing to "nats-server"/);
    expect((await run(["--wings", "get", "a"])).code).to.equal(2);
  });
});

async function run(argumentList: string[]): Promise<{ code: number; out: string; stderr: string }> {
  let [out, stderr] = ["", ""];
  const code = await runCli(argumentList, {
    env: {},
    stdin: Readable.from([]),
    out: (text) => void (out += String(text)),
    stderr: (text) => (stderr += text),
    isTerminal: false,
    stopping: new AbortController().signal,
  });
  return { code, out, stderr };
}
