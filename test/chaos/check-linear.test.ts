/**
 * Two checkers of a history, and what it is worth when only one was asked.
 */
import { expect } from "chai";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HistoryRow } from "../history/history.js";
import { checkLinear } from "./check-linear.js";
import { hotRegisters } from "./keys.js";

/** A set and a get of a hot key, one after the other, ten times. */
const rows: readonly HistoryRow[] = Array.from({ length: 20 }, (_, index): HistoryRow => {
  const revision = Math.floor(index / 2) + 1;
  const [key, value] = [hotRegisters[0] ?? "", `"v${revision}"`];
  const written = { kind: "written", revision, created: index === 0 } as const;
  return {
    client: "c",
    number: index + 1,
    kind: "single",
    steps:
      index % 2 === 0
        ? [{ verb: "set", key, value, outcome: written }]
        : [{ verb: "get", key, outcome: { kind: "value", value, revision } }],
    invokedAt: 10 * index,
    returnedAt: 10 * index + 5,
  };
});

describe("linearizability by two checkers, without Go", () => {
  const { PATH } = process.env;
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-linear-"));
    process.env["PATH"] = folder;
  });
  afterEach(() => {
    process.env["PATH"] = PATH;
    rmSync(folder, { recursive: true });
  });

  it("is a problem, which says what to do, where both must be asked", async () => {
    const report = await checkLinear(rows, { folder, needsPorcupine: true });
    expect(report.problems).to.have.length(1);
    expect(report.problems[0]).to.match(/^Porcupine was not asked: .*; install Go, or say: make/);
    expect(report.opinions.map(({ porcupine }) => porcupine)).to.deep.equal(
      Array.from({ length: 4 }, () => undefined),
    );
  });

  it("is told, and no problem, where ours is enough", async () => {
    const report = await checkLinear(rows, { folder, needsPorcupine: false });
    expect(report.problems).to.deep.equal([]);
    expect(report.notAsked).to.equal("there is no Go on PATH");
    expect(report.opinions.map(({ ours }) => ours)).to.deep.equal([
      "Ok",
      "Illegal",
      "Illegal",
      "Illegal",
    ]);
  });
});
