/**
 * Log files: rotated as they are written, or before another process opens them.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { LogFile, rotateIfLarger } from "../../../infra/files/log-file.js";

describe("log file", () => {
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
