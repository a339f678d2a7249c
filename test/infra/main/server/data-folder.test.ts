/**
 * Data folder: the lock that says who has it.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  dataPaths,
  liveAddress,
  Refusal,
  takeLock,
} from "../../../../infra/main/server/data-folder.js";

describe("lock of a data folder", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-lock-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it("is held by one, and free again when given back", async () => {
    const paths = dataPaths(folder);
    const lock = await takeLock(paths);
    const second = await takeLock(paths).catch((reason: unknown) => reason);
    expect(second).to.be.instanceOf(Refusal);
    lock.release();
    (await takeLock(paths)).release();
    expect(existsSync(paths.lock)).to.equal(false);
  });

  it("tells where the cluster is, as long as it is held", async () => {
    const paths = dataPaths(folder);
    const address = { url: "nats://127.0.0.1:4322", store: "shop" };
    const lock = await takeLock(paths);
    expect(await liveAddress(paths)).to.equal(undefined);
    await lock.tell(address);
    expect(await liveAddress(paths)).to.deep.equal(address);
    const second = await takeLock(paths).catch((reason: unknown) => reason);
    expect((second as Refusal).message).to.contain("serves at nats://127.0.0.1:4322;");
    lock.release();
    expect(existsSync(paths.lock)).to.equal(false);
    const stale = { pid: process.pid, command: "something else", ...address };
    writeFileSync(paths.lock, JSON.stringify(stale));
    expect(await liveAddress(paths)).to.equal(undefined);
  });

  it("is taken by one of many that find a stale one", async () => {
    const paths = dataPaths(folder);
    // A pid that lives, with another command line: the pid was given out again.
    writeFileSync(paths.lock, JSON.stringify({ pid: process.pid, command: "something else" }));
    const tries = await Promise.allSettled([1, 2, 3, 4].map(() => takeLock(paths)));
    const taken = tries.filter(({ status }) => status === "fulfilled");
    expect(taken).to.have.length(1);
  });
});
