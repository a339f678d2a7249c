/**
 * Rejected lines: which of them are listed.
 */
import { PassThrough } from "node:stream";
import { expect } from "chai";
import { runLoad } from "../../../infra/cli/load-command.js";
import { KvError } from "../../../protocol/errors.js";
import { recordsOf, useLoad } from "./load-run.js";

describe("rejected lines", () => {
  const load = useLoad();

  const { write, start, runOf } = load;

  it("lists rejected lines in order with their reason, and goes on", async () => {
    load.store.refuse = (key) => (key === "k1" ? new KvError("too-large", "is large") : undefined);
    write(["oops", ...recordsOf(2), '{"no":"id"}']);
    await start();
    expect(load.errors.split("\n").map((line) => line.split(":", 2).join(":"))).to.deep.equal([
      "line 1: bad-request",
      "line 3: too-large",
      "line 4: bad-request",
      "",
    ]);
    expect(load.store.values.size).to.equal(1);
    expect(load.output).to.match(/^loaded 1, rejected 3;/);
    expect(load.exit).to.equal("partial");
  });

  it("lists only the first rejected lines on a terminal, and all elsewhere", async () => {
    write(Array.from({ length: 30 }, () => '{"no":"id"}'));
    await start();
    expect(load.errors.match(/^line \d+: /gm)).to.have.length(30);
    const terminal = new PassThrough();
    await runLoad({ ...runOf({}), context: { ...runOf({}).context, bar: terminal } });
    const shown = String(terminal.read());
    expect(shown.match(/line \d+: /g)).to.have.length(10);
    expect(shown.match(/more are rejected/g)).to.have.length(1);
    expect(load.output).to.match(/^loaded 0, rejected 30;/);
  });
});
