/**
 * A file that cannot be read.
 */
import { join } from "node:path";
import { Readable } from "node:stream";
import { expect } from "chai";
import { runLoad, sourceOf } from "../../../infra/cli/load-command.js";
import { runCli } from "../../../infra/cli/program.js";
import { useLoad } from "./load-run.js";

describe("an unreadable file", () => {
  const load = useLoad();

  const { write, runOf } = load;

  it("says of a folder that it is one", async () => {
    write([]);
    const source = sourceOf(load.folder, Readable.from([]));
    const failure = await runLoad({ ...runOf({}), file: load.folder, source }).catch(String);
    expect(failure).to.match(/cannot read .*: it is a folder/);
  });

  it("names a file that cannot be read, before anything is connected", async () => {
    let stderr = "";
    const code = await runCli(["load", join(load.folder, "none")], {
      env: {},
      stdin: Readable.from([]),
      out: () => undefined,
      stderr: (text) => (stderr += text),
      isTerminal: false,
      stopping: new AbortController().signal,
    });
    expect(code).to.equal(2);
    expect(stderr).to.match(/cannot read .*none: there is no such file\n$/);
  });
});
