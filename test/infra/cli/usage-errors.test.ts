/**
 * An option that is wrong: one line, and the help of its own command.
 */
import { Readable } from "node:stream";
import { expect } from "chai";
import { runCli } from "../../../infra/cli/program.js";

describe("an option that is wrong", () => {
  it("is told in one line, with the help of its own command", async () => {
    expect((await run(["find", "--wings"])).stderr).to.match(
      /^ringdex: unknown option '--wings' \(see "ringdex find --help"\)\n$/,
    );
    expect((await run(["node", "start"])).stderr).to.match(
      /\(see "ringdex node start --help"\)\n$/,
    );
    expect((await run(["stat"])).stderr).to.match(
      /^ringdex: unknown command 'stat' \(Did you mean .*\) \(see "ringdex --help"\)\n$/,
    );
  });

  it("of a read is explained as one, not as one of up", async () => {
    expect((await run(["get", "--help"])).out.replaceAll(/\s+/g, " "))
      .to.contain("the store's NATS server")
      .and.not.contain("start none");
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
