/**
 * Folders that can be made, and those that cannot.
 */
import { expect } from "chai";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFolder, unwritable } from "../../../infra/files/make-folder.js";

describe("making a folder", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "ringdex-make-folder-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("makes those on the way to it, and takes one that is there", async () => {
    const folder = join(root, "a", "b", "c");
    await makeFolder(folder);
    await makeFolder(folder);
    expect(existsSync(folder)).to.equal(true);
  });

  it("fails where a file stands in the way, and says so", async () => {
    writeFileSync(join(root, "file"), "");
    for (const name of ["file", join("file", "below")]) {
      const folder = join(root, name);
      const error = await failure(makeFolder(folder));
      expect(unwritable(folder, error)).to.contain(folder).and.contain("a file stands in the way");
    }
  });

  it("fails, and does not try for ever, where no folder can be", async function () {
    if (!existsSync("/proc/self")) this.skip();
    for (const folder of ["/proc/ringdex", "/proc/self/ringdex/data"]) {
      const text = unwritable(folder, await failure(makeFolder(folder)));
      expect(text).to.match(/^cannot write in \/proc\/.*: no folder can be made there; choose/);
    }
  });

  it("says what to do for what systems say, and nothing for what they do not", () => {
    const said = (code: string): string | undefined =>
      unwritable("/x", Object.assign(new Error("said"), { code }));
    expect(said("EROFS")).to.equal(
      "cannot write in /x (EROFS): its file system is mounted read-only; mount it for writing, " +
        "or choose another folder",
    );
    expect(said("EACCES")).to.contain("let the user of this process write there");
    expect(said("ENOSPC")).to.contain("make room");
    expect(said("EIO")).to.equal(undefined);
    expect(unwritable("/x", new Error("another"))).to.equal(undefined);
  });
});

async function failure(outcome: Promise<unknown>): Promise<unknown> {
  return outcome.then(
    () => expect.fail("it did not fail"),
    (error: unknown) => error,
  );
}
