/**
 * The chaos run with small figures: one killed node, one paused, one killed nats-server. What it
 * checks is the same as in `make chaos`; how much is answered is not looked at here.
 */
import { expect } from "chai";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../../infra/files/package-version.js";
import { renderReport } from "./report.js";
import { runChaos } from "./run.js";

describe("a chaos run", function () {
  this.timeout(300_000);

  it("finds nothing wrong after a killed node, a paused one and a killed nats-server", async () => {
    const cache = join(packageFolder(), ".cache");
    mkdirSync(cache, { recursive: true });
    const folder = mkdtempSync(join(cache, "chaos-"));
    const said: string[] = [];
    const report = await runChaos({
      seed: 1,
      seconds: 0,
      rounds: [
        [{ kind: "kill node", node: "n2", lastsMs: 0 }],
        [{ kind: "pause node", node: "n3", lastsMs: 2_000 }],
        [{ kind: "kill nats-server", lastsMs: 0 }],
      ],
      clientCount: 5,
      processCount: 1,
      pace: { hotMs: 100, wideMs: 100, probeMs: 50 },
      calmMs: 1_000,
      operationsMin: 1,
      unansweredShareMax: 1,
      needsPorcupine: false,
      folder,
      say: (line) => void said.push(line),
    });
    const problems = report.checks.flatMap((check) => check.problems);
    const told = `${said.join("\n")}\n${renderReport(report)}\nkept in ${folder}`;
    expect(problems, told).to.deep.equal([]);
    expect(report.linear.opinions.map(({ ours }) => ours)).to.deep.equal([
      "Ok",
      "Illegal",
      "Illegal",
      "Illegal",
    ]);
    expect(report.gaps.map(({ name }) => name)).to.deep.equal([
      "no fault",
      "kill node n2",
      "pause node n3",
      "kill nats-server",
    ]);
    rmSync(folder, { recursive: true, force: true });
  });
});
