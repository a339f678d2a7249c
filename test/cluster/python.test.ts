/**
 * The protocol as a program in another language meets it: test/python/protocol_check.py, written
 * from docs/protocol.md alone, on a nats-server with our subject mapping and on one without.
 *
 * Skipped, with the reason in its title, where there is no Python or no package index.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect } from "chai";
import { startCluster, type Cluster } from "../support/cluster.js";
import { findPython, pythonFolder } from "../support/python.js";

const PROGRAM_TIMEOUT_MS = 120_000;

describe("the protocol, from Python", function () {
  this.timeout(300_000);
  let python = "";
  before(async function () {
    const found = await findPython();
    if ("python" in found) {
      python = found.python;
      return;
    }
    for (const test of this.test?.parent?.tests ?? []) test.title += ` (${found.missing})`;
    this.skip();
  });

  for (const mapping of [true, false]) {
    const where = mapping ? "with our mapping" : "without our mapping";
    it(`is as docs/protocol.md says, on a nats-server ${where}`, async () => {
      const cluster = await startCluster({ mapping });
      try {
        const { output, code } = await runCheck(python, cluster, mapping);
        // All but the lines of what held: those are hundreds.
        const failures = output.split("\n").filter((line) => !line.startsWith("ok "));
        expect(code, `${failures.join("\n")}\n${cluster.stderr}`).to.equal(0);
        expect(failures.join("\n")).to.match(/^[1-9]\d* checked, 0 failed\n$/);
      } finally {
        await cluster.stop();
      }
    });
  }
});

function runCheck(
  python: string,
  cluster: Cluster,
  mapping: boolean,
): Promise<{ output: string; code: number | null }> {
  const program = join(pythonFolder, "protocol_check.py");
  const argumentList = [program, "--url", cluster.url, "--store", cluster.store];
  if (!mapping) argumentList.push("--without-mapping");
  return new Promise((resolve, reject) => {
    // No files of bytecode beside the sources.
    const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", PYTHONIOENCODING: "utf-8" };
    const child = spawn(python, argumentList, { env, timeout: PROGRAM_TIMEOUT_MS });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.once("error", reject);
    child.once("close", (code) => resolve({ output, code }));
  });
}
