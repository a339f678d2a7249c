/**
 * A real nats-server whose disk is full: writes are refused or in doubt, reads go on, status says
 * what to do, and what docs/operations.md says to do helps. Needs root, to have a small disk.
 */
import { expect } from "chai";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, isKvError, type Ringdex } from "../../infra/client/client.js";
import { dataPaths } from "../../infra/main/server/data-folder.js";
import { startCluster, type Cluster } from "../support/cluster.js";
import { until } from "../support/until.js";
import { mountSmallDisk, type SmallDisk } from "./small-disk.js";

const MEGABYTES = 40;
const KEYS = 20;
/** What a file has of its last page is room still: a small write would fit. */
const TEXT = "x".repeat(20_000);
const WRITES_AT_ONCE = 5;
/** A write that is not answered is waited for no longer. */
const ANSWER_MS = 1_000;
const STATUS_MS = 15_000;
const SETTLED_MS = 60_000;

interface Item {
  readonly value: number;
  readonly text?: string;
}

describe("nats-server's disk", function () {
  this.timeout(120_000);
  let folder: string;
  let disk: SmallDisk | undefined;
  let cluster: Cluster | undefined;
  let db: Ringdex<Item> | undefined;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "ringdex-server-disk-"));
  });
  after(async () => {
    await db?.close();
    await cluster?.stop();
    disk?.unmount();
    rmSync(folder, { recursive: true });
  });

  it("that is full loses nothing, and goes on with room and a restart", async function () {
    const { jetstream } = dataPaths(folder);
    disk = mountSmallDisk(jetstream, MEGABYTES);
    if (disk === undefined) {
      if (this.test !== undefined) this.test.title += " (only root may mount a disk)";
      return this.skip();
    }
    const env = { RINGDEX_LOG_BYTES_MAX: "16MiB", RINGDEX_EVENTS_BYTES_MAX: "1MiB" };
    cluster = await startCluster({ nodes: 1, replicas: 1, folder, env });
    db = await connect({ servers: cluster.url, timeoutMs: ANSWER_MS });
    const acknowledged = new Map<string, number>();
    for (let n = 0; n < KEYS; n += 1) {
      await db.set(`before.${n}`, { value: n });
      acknowledged.set(`before.${n}`, n);
    }
    const filler = join(jetstream, "filler");
    fill(filler);

    const doubtful = new Set<string>();
    const write = async (key: string, value: number): Promise<void> => {
      try {
        await db?.set(key, { value, text: TEXT });
        acknowledged.set(key, value);
      } catch (error) {
        if (!isKvError(error)) throw error;
        expect(error.kind).to.be.oneOf(["in-doubt", "overloaded", "unavailable"]);
        if (error.written === "unknown") doubtful.add(key);
      }
    };
    const numbers = Array.from({ length: WRITES_AT_ONCE }, (_, n) => n);
    await Promise.all(numbers.map((n) => write(`full.${n}`, n)));
    expect(acknowledged.size, "writes taken by a full disk").to.equal(KEYS);
    await until(async () => (await warningsOf(cluster)) !== "", STATUS_MS, "a warning");
    expect(await warningsOf(cluster)).to.match(
      /^JetStream cannot store entries in the log of s1, .* make room and restart it$/,
    );
    expect((await db.get("before.3"))?.value.value).to.equal(3);

    rmSync(filler);
    await cluster.killServer();
    await cluster.settled(SETTLED_MS);
    await until(async () => (await warningsOf(cluster)) === "", STATUS_MS, "no warning");
    for (const [key, value] of acknowledged) {
      expect((await db.get(key))?.value.value, key).to.equal(value);
    }
    for (const n of numbers) {
      const found = await db.get(`full.${n}`);
      if (found === undefined) continue;
      expect(doubtful, "only what is in doubt may be there").to.include(`full.${n}`);
      expect(found.value).to.deep.equal({ value: n, text: TEXT });
    }
    await db.set("after", { value: 1 });
    expect((await db.get("after"))?.value).to.deep.equal({ value: 1 });
  });
});

/** Until nothing more fits on its disk. */
function fill(path: string): void {
  const file = openSync(path, "w");
  const block = Buffer.alloc(4_096);
  try {
    for (;;) writeSync(file, block);
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).to.equal("ENOSPC");
  } finally {
    closeSync(file);
  }
}

async function warningsOf(cluster: Cluster | undefined): Promise<string> {
  const status = await cluster?.status().catch(() => undefined); // nats-server may be away
  return status?.warnings.join("\n") ?? "status does not answer";
}
