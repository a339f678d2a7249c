/**
 * Arguments that are not UTF-8, as the program gets them from a shell.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { checkArguments } from "../../../infra/cli/argument-bytes.js";
import { CommandFailed } from "../../../infra/cli/exit-codes.js";

const program = fileURLToPath(new URL("../../../infra/cli/ringdex.js", import.meta.url));

describe("arguments", () => {
  const replaced = "caf\ufffd";

  it("pass if their bytes really are U+FFFD", () => {
    const commandLine = Buffer.from(`node\0ringdex\0get\0${replaced}\0`);
    checkArguments(["get", replaced], () => commandLine);
    checkArguments(["get", "café"], () => expect.fail("not to be read"));
  });

  it("are refused if their bytes are others, or cannot be seen", () => {
    const latin = Buffer.from("node\0ringdex\0get\0caf\xe9\0", "latin1");
    const cut = Buffer.from("node\0ri");
    for (const commandLine of [latin, cut, undefined]) {
      expect(() => checkArguments(["get", replaced], () => commandLine))
        .to.throw(CommandFailed, /argument 2 .*not UTF-8/)
        .with.property("exit", "usage");
    }
  });

  it("that a shell hands over in another encoding end the program with 2", function () {
    this.timeout(20_000);
    const text = `exec "$0" "$1" get "$(printf 'caf\\351')" -s nats://127.0.0.1:1`;
    const ran = spawnSync("sh", ["-c", text, process.execPath, program], { encoding: "utf8" });
    expect(ran.stderr).to.match(/^ringdex: argument 2 .* UTF-8.*\n$/);
    expect(ran.status).to.equal(2);
  });
});
