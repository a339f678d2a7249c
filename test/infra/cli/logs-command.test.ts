/**
 * logs at the command line.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { until } from "../../support/until.js";
import { useCommandLine } from "./command-line.js";

describe("logs command", function () {
  const cli = useCommandLine();

  const { run } = cli;

  describe("logs", () => {
    const line = (time: string, level: string, node: string, fields: object = {}): string =>
      JSON.stringify({ time, level, node, message: "moved", ...fields });

    it("prints the last lines of all nodes in order of time", async () => {
      for (const node of ["n1", "n2"])
        mkdirSync(join(cli.folder, "nodes", node), { recursive: true });
      const n1 = [line("1", "info", "n1"), line("3", "debug", "n1"), line("4", "info", "n1")];
      const n2 = [line("2", "error", "n2", { lag: 3 }), line("5", "info", "n2")];
      writeFileSync(join(cli.folder, "nodes", "n1", "node.log"), `${n1.join("\n")}\n`);
      writeFileSync(join(cli.folder, "nodes", "n2", "node.log"), `${n2.join("\n")}\n`);
      const { out } = await run(["logs", "--data", cli.folder, "-n", "3"]);
      expect(out).to.equal("2 error n2 moved lag=3\n4 info  n1 moved\n5 info  n2 moved\n");
      const ofOne = await run(["logs", "--data", cli.folder, "--node", "n1", "--level", "debug"]);
      expect(ofOne.out.match(/\n/g)).to.have.length(3);
      const none = await run(["logs", "--data", join(cli.folder, "none")]);
      expect(none).to.include({ code: 1 });
      expect(none.stderr).to.contain("-f");
    });

    it("follows what nodes say until it is told to stop", async () => {
      const stopping = new AbortController();
      let seen = "";
      const following = run(["logs", "-f"], {
        stopping: stopping.signal,
        onOut: (all) => void (seen = all),
      });
      await until(() => {
        const { connection } = cli.store;
        connection.publish("kv.node.n1.log.info", line("1", "info", "n1", { shard: "s1" }));
        return seen !== "";
      });
      stopping.abort();
      const { code, out, stderr } = await following;
      expect(code).to.equal(0);
      expect(stderr).to.match(/^following what the nodes of store "kv" at /);
      expect(out).to.match(/^(1 info {2}n1 moved shard=s1\n)+$/);
    });
  });
});
