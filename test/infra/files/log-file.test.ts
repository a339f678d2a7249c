/**
 * Log files: rotated as they are written, or before another process opens them, and continued.
 */
import { expect } from "chai";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LOG_FILES_MAX, LogFile, rotateIfLarger } from "../../../infra/files/log-file.js";
import { createLogger } from "../../../infra/logger.js";

describe("a logger's file", () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "ringdex-logger-"));
    file = join(folder, "logs", "n1.log");
  });

  afterEach(() => rm(folder, { recursive: true }));

  it("rotates its file by size, keeps so many, and loses none of the lines in them", async () => {
    const fileBytesMax = 11_000;
    const logger = createLogger({ node: "n1", file, level: "info", fileBytesMax });
    for (let index = 0; index < 105; index += 1) logger.info("x".repeat(1_000), { index });
    await logger.close();
    const logs = join(folder, "logs");
    const names = ["n1.4.log", "n1.3.log", "n1.2.log", "n1.1.log", "n1.log"];
    expect(await readdir(logs)).to.have.members(names);
    expect(names).to.have.length(LOG_FILES_MAX);
    const indexes: unknown[] = [];
    for (const name of names) {
      expect((await stat(join(logs, name))).size).to.be.at.most(fileBytesMax);
      indexes.push(...(await linesOf(join(logs, name))).map((line) => line["index"]));
    }
    const first = Number(indexes[0]);
    expect(indexes).to.deep.equal(Array.from({ length: 105 - first }, (_, at) => first + at));
    expect(first).to.be.within(50, 70);
  });

  it("goes on in the file of a process before, or without one if there can be none", async () => {
    for (const message of ["first", "second"]) {
      const logger = createLogger({ node: "n1", file, level: "info" });
      logger.info(message);
      await logger.close();
    }
    expect((await linesOf(file)).map((line) => line["message"])).to.deep.equal(["first", "second"]);
    const published: string[] = [];
    const publish = (_level: string, line: string): void => void published.push(line);
    const nowhere = join(file, "below-a-file.log");
    const logger = createLogger({ node: "n1", file: nowhere, level: "info", publish });
    logger.error("not in a file");
    await logger.close();
    expect(published).to.have.length(1);
  });
});

describe("a log file", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-log-"));
    file = join(folder, "a.log");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const textOf = (name: string): string => readFileSync(join(folder, name), "utf8");

  it("is rotated when it has grown beyond its size, and the oldest goes", () => {
    const log = new LogFile(file, 10, 3);
    for (const line of ["one", "two", "three", "four", "five", "six"]) log.write(line.padEnd(7));
    log.close();
    expect(readdirSync(folder).toSorted()).to.deep.equal(["a.1.log", "a.2.log", "a.log"]);
    expect(textOf("a.log")).to.equal("six    \n");
    expect(textOf("a.2.log")).to.equal("four   \n");
  });

  it("of another process is rotated before that opens it, if it is large", () => {
    rotateIfLarger(file, 3, 3);
    expect(readdirSync(folder)).to.deep.equal([]);
    writeFileSync(file, "abc");
    rotateIfLarger(file, 3, 3);
    expect(readdirSync(folder)).to.deep.equal(["a.log"]);
    writeFileSync(file, "abcd");
    rotateIfLarger(file, 3, 3);
    writeFileSync(file, "efgh");
    rotateIfLarger(file, 3, 3);
    expect(readdirSync(folder).toSorted()).to.deep.equal(["a.1.log", "a.2.log"]);
    expect(textOf("a.1.log")).to.equal("efgh");
  });
});

type Line = Record<string, unknown>;

async function linesOf(file: string): Promise<Line[]> {
  const text = await readFile(file, "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}
