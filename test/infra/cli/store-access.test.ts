/**
 * Store access: what a command says when it reaches no store.
 */
import { expect } from "chai";
import { useCommandLine } from "./command-line.js";

describe("access to a store", function () {
  const cli = useCommandLine();

  const { run } = cli;

  it("say where they looked when no server is there, and end with 5", async () => {
    const { code, stderr } = await run(["get", "a", "-s", "nats://127.0.0.1:1"], {});
    expect(code).to.equal(5);
    expect(stderr).to.match(/cannot reach nats:\/\/127\.0\.0\.1:1 .*ringdex(\.js)? up"/);
    expect(stderr.trimEnd()).not.to.contain("\n");
  });

  it("say at once that no node of the store is there, wait for one, and end with 5", async () => {
    const { code, stderr } = await run(["get", "a", "--store", "other"]);
    expect(code).to.equal(5);
    const [first, last, ...more] = stderr.trimEnd().split("\n");
    expect(first).to.match(/^nats-server is at nats:.*no node of store "other" answers; trying/);
    expect(last).to.match(/^ringdex: no node of store "other" .*--store.*ringdex(\.js)? up"/);
    expect(more).to.deep.equal([]);
  });
});
