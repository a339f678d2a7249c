/**
 * Ring view: the client's copy of the table position → shard, for batches that go to shards
 * directly, and of the position count.
 *
 * The copy may be old: a shard refuses what is not its own (`unavailable`), and then the table is
 * read again. Single keys need none of it, because the position in their subject is a hint.
 */
import { KvError } from "../../protocol/errors.js";
import type { Position, ShardId } from "../../protocol/ids.js";
import { POSITION_COUNT } from "../../protocol/limits.js";
import type { Names } from "../../protocol/nats/subjects.js";
import { parseRing, RingLookup } from "../../protocol/ring/ring.js";
import { sleep } from "../clock.js";
import type { Caller } from "./caller.js";
import { bodyOf } from "./json-reply.js";

/** Background refreshes are this far apart at least. */
const REFRESH_QUIET_MS = 1_000;

export class RingView {
  #table: RingLookup | undefined;
  #refreshing: Promise<void> | undefined;
  #refreshedAtMs = -Infinity;

  constructor(
    private readonly caller: Caller,
    private readonly names: Names,
  ) {}

  get isKnown(): boolean {
    return this.#table !== undefined;
  }

  /** The store's; the usual one as long as the ring could not be read. */
  get positionCount(): number {
    return this.#table?.ring.positionCount ?? POSITION_COUNT;
  }

  /** Undefined as long as the ring could not be read. */
  shardOf(position: Position): ShardId | undefined {
    return this.#table?.shardOf(position).shard;
  }

  /**
   * Reads the ring; callers at the same time share one request. Rejects with a KvError, also if the
   * shared request is not answered within `timeoutMs`.
   */
  async refresh(timeoutMs = this.caller.attemptTimeoutMs): Promise<void> {
    this.#refreshing ??= this.#read().finally(() => {
      this.#refreshing = undefined;
    });
    if (timeoutMs >= this.caller.attemptTimeoutMs) return this.#refreshing;
    const ended = new AbortController();
    const late = sleep(this.caller.clock, timeoutMs, ended.signal).then(() => {
      throw new KvError("unavailable", `no coordinator told the ring within ${timeoutMs} ms`);
    });
    return Promise.race([this.#refreshing, late]).finally(() => ended.abort());
  }

  /** A reply did not fit the table: read it again some time, unless that was just done. */
  suspect(): void {
    const nowMs = this.caller.clock.elapsedMs();
    if (nowMs - this.#refreshedAtMs < REFRESH_QUIET_MS) return;
    this.#refreshedAtMs = nowMs;
    // If it cannot be read now, the next reply that does not fit asks for it again.
    this.refresh().catch(() => undefined);
  }

  async #read(): Promise<void> {
    const payload = new Uint8Array(0);
    const outgoing = { subject: this.names.verb("ring"), payload, isWrite: false };
    const ring = parseRing(bodyOf(await this.caller.send(outgoing, this.caller.attemptTimeoutMs)));
    this.#refreshedAtMs = this.caller.clock.elapsedMs();
    // Coordinators learn of a new ring one after another: an older answer tells nothing.
    const epochKnown = this.#table?.ring.epoch ?? 0;
    if (ring.epoch >= epochKnown) this.#table = new RingLookup(ring);
  }
}
