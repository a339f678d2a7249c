/**
 * The patches of the mutants: each is whole, applies to the sources as they are, changes production
 * code only, and stands in the table of docs/testing.md. Whether they are noticed is what
 * `make mutants` shows.
 */
import { expect } from "chai";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, cpSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageFolder } from "../../infra/files/package-version.js";
import { page, rowsUnder, titlesOf } from "../docs/pages.js";
import { isDrawn, parseMutant, readMutants, type Mutant } from "./mutants.js";
import { columns, tableOf } from "./report.js";

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
    const drawn = mutants.filter(isDrawn);
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

  it("name rules and headings that the documents have", async () => {
    const design = titlesOf(page("docs/design.md"));
    const protocol = titlesOf(page("docs/protocol.md"));
    const isThere = (rule: string): boolean => {
      if (/^L\d$/.test(rule)) return design.some((title) => title.startsWith(`${rule}. `));
      const [, title] = /^(.*) of protocol\.md$/.exec(rule) ?? [];
      return title === undefined ? design.includes(rule) : protocol.includes(title);
    };
    const unknown = (await readMutants(patches)).flatMap((mutant) => {
      const { name, rule } = mutant;
      if (isDrawn(mutant) && rule === "made by a tool") return [];
      const missing = rule.split(", ").filter((each) => !isThere(each));
      return missing.map((each) => `${name}: ${each}`);
    });
    expect(unknown).to.deep.equal([]);
  });

  it("stand in the documentation's table, with what is wrong in them and what came", async () => {
    const [head, ...rows] = rowsUnder(page("docs/testing.md"), "## Mutants");
    expect(head).to.deep.equal(columns);
    const mutants = await readMutants(patches);
    const wanted = mutants.map(({ name, defect, rule }) => [name, defect, rule]);
    expect(rows.map((row) => row.slice(0, 3))).to.deep.equal(wanted);
    for (const { name, lives, seedsMax } of mutants) {
      const [, , , seed, noticed] = rows.find((row) => row[0] === name) ?? [];
      if (lives !== undefined) expect([seed, noticed], name).to.deep.equal(["lives", lives]);
      else expect(Number(seed), name).to.be.within(1, seedsMax);
    }
  });

  it("are told in rows of Markdown, and what is not as it should be in bold", () => {
    const mutant: Mutant = {
      name: "m",
      file: "m.patch",
      defect: "`a | b` is wrong.",
      rule: "L1",
      seedsMax: 10,
      lives: undefined,
    };
    const unseen = { seed: undefined, noticed: "nothing in 10" };
    const verdicts = [
      { mutant, seed: 7, noticed: "two\n  lines of `code` | more", isRight: true },
      { mutant, ...unseen, isRight: false },
      { mutant: { ...mutant, lives: "why" }, ...unseen, isRight: true },
      { mutant: { ...mutant, lives: "why" }, seed: 8, noticed: "after all", isRight: false },
    ];
    const [head, , ...lines] = tableOf(verdicts).split("\n");
    expect(head).to.equal(`| ${columns.join(" | ")} |`);
    const what = "| m | `a / b` is wrong. | L1 |";
    expect(lines).to.deep.equal([
      `${what} 7 | \`two lines of 'code' / more\` |`,
      `${what} **not noticed** | \`nothing in 10\` |`,
      `${what} lives | why |`,
      `${what} **8** | \`after all\` |`,
    ]);
  });

  it("are refused if a line of the head is missing", () => {
    const text = "Defect: d\nRule:   L1\n\n--- a/x.ts\n+++ b/x.ts\n";
    expect(() => parseMutant("m", "m.patch", text)).to.throw('m.patch has no line "Seeds: …"');
    const none = text.replace("\n\n", "\nSeeds:  none\n\n");
    expect(() => parseMutant("m", "m.patch", none)).to.throw('"Seeds" is a whole number, not none');
  });
});
