/**
 * The patches of the mutants: each is whole, applies to the sources as they are, and changes
 * production code only. Whether they are noticed is what `make mutants` shows.
 */
import { expect } from "chai";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, cpSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageFolder } from "../../infra/nats-binary.js";
import { parseMutant, readMutants } from "./mutants.js";

/** Of those that somebody thought of, and of those that a tool drew. */
const OWN_MIN = 25;
const DRAWN_MIN = 10;

const patches = join(packageFolder(), "test", "mutants", "patches");

describe("mutants", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-mutants-"));
    for (const name of ["protocol", "actors", "infra"]) {
      cpSync(join(packageFolder(), name), join(folder, name), { recursive: true });
    }
  });
  after(() => rmSync(folder, { recursive: true }));

  it("apply to the sources of today, each alone", async () => {
    const broken: string[] = [];
    for (const { name, file } of await readMutants(patches)) {
      const options = { cwd: folder, stdio: "pipe" } as const;
      try {
        execFileSync("git", ["apply", "--check", file], options);
      } catch (error) {
        broken.push(`${name}: ${String((error as { stderr: Buffer }).stderr)}`);
      }
    }
    expect(broken, "make them anew from the sources of today").to.deep.equal([]);
  });

  it("are enough, and break each rule of the log at least once", async () => {
    const mutants = await readMutants(patches);
    const drawn = mutants.filter(({ name }) => name.startsWith("stryker-"));
    expect(drawn.length).to.be.at.least(DRAWN_MIN);
    expect(mutants.length - drawn.length).to.be.at.least(OWN_MIN);
    for (let rule = 1; rule <= 9; rule += 1) {
      const breaking = mutants.filter((mutant) => mutant.rule.includes(`L${rule}`));
      expect(breaking.length, `mutants of L${rule}`).to.be.at.least(1);
    }
  });

  it("change production code, and no test", async () => {
    for (const { name, file } of await readMutants(patches)) {
      const changed = [...readFileSync(file, "utf8").matchAll(/^\+\+\+ b\/(\S+)$/gm)];
      expect(changed.length, name).to.be.at.least(1);
      for (const [, path = ""] of changed)
        expect(path, name).to.match(/^(protocol|actors|infra)\//);
    }
  });

  it("are refused if a line of the head is missing", () => {
    const text = "Defect: d\nRule:   L1\n\n--- a/x.ts\n+++ b/x.ts\n";
    expect(() => parseMutant("m", "m.patch", text)).to.throw('m.patch has no line "Seeds: …"');
    const none = text.replace("\n\n", "\nSeeds:  none\n\n");
    expect(() => parseMutant("m", "m.patch", none)).to.throw('"Seeds" is a whole number, not none');
  });
});
