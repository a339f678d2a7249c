/**
 * Seed source: copies a replica's whole store, part by part, to a node that fills its own.
 *
 * Mailbox     kv.node.<node>.seed, one answer for each message
 * State       sessions: a snapshot of the store each, how far it was read, and the last part
 * Decides in  here; it only reads
 * Lifecycle   as long as the replica's store is open
 * On a bug    the node that asked gets the error of the failed read
 *
 * One iterator over all rows sees one state of the store: the applier writes batches whole, each
 * with the row that says how far it has applied the log.
 */
import type { Clock, Timer } from "../../infra/clock.js";
import type { Store, StoreIterator } from "../../infra/store.js";
import { KvError } from "../../protocol/errors.js";
import { SEED_IDLE_MS, SEED_PART_BYTES, SEED_SESSIONS_MAX } from "../../protocol/limits.js";
import { encodeSeedRow, type SeedReply, type SeedRequest } from "../../protocol/node/seed.js";

const ROWS_PER_READ = 64;
const everything = { from: Buffer.of(0), to: Buffer.of(0xff) };

interface Session {
  readonly iterator: StoreIterator;
  /** The last part that was sent, and its bytes. */
  part: number;
  reply: SeedReply | undefined;
  /** Read, and not handed over yet. */
  pending: Uint8Array[];
  pendingBytes: number;
  isAtEnd: boolean;
  isBusy: boolean;
  timer: Timer | undefined;
}

export class SeedSource {
  readonly #sessions = new Map<string, Session>();
  #isClosed = false;
  #readsUnderWay = 0;
  #idle: (() => void) | undefined;

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly partBytes = SEED_PART_BYTES,
  ) {}

  /** Rejects with KvError, or with what the store throws. */
  async answer({ session: name, part }: SeedRequest): Promise<SeedReply> {
    if (this.#isClosed) throw new KvError("unavailable", "the store is being closed");
    const session = part === 0 ? this.#open(name) : this.#sessions.get(name);
    if (session === undefined) {
      throw new KvError("not-found", "the seed's session has ended; begin again with part 0");
    }
    if (session.isBusy) throw new KvError("unavailable", "the part is being read; ask again");
    if (part === session.part && session.reply !== undefined) return session.reply;
    if (part !== session.part + 1) {
      throw new KvError("bad-request", `part ${session.part + 1} is next, not part ${part}`);
    }
    session.isBusy = true;
    this.#readsUnderWay += 1;
    try {
      const reply = await this.#read(session);
      session.part = part;
      session.reply = reply;
      return reply;
    } finally {
      session.isBusy = false;
      this.#readsUnderWay -= 1;
      if (this.#readsUnderWay === 0) this.#idle?.();
      this.#forgetLater(name, session);
    }
  }

  /** After this none of its iterators is open. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#readsUnderWay > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await Promise.all([...this.#sessions].map(([name]) => this.#forget(name)));
  }

  #open(name: string): Session {
    const found = this.#sessions.get(name);
    if (found !== undefined) return found;
    if (this.#sessions.size >= SEED_SESSIONS_MAX) {
      throw new KvError("overloaded", `this store already fills ${SEED_SESSIONS_MAX} others`, {
        limit: "seed_sessions",
        max: SEED_SESSIONS_MAX,
      });
    }
    const session: Session = {
      iterator: this.store.iterate(everything),
      part: -1,
      reply: undefined,
      pending: [],
      pendingBytes: 0,
      isAtEnd: false,
      isBusy: false,
      timer: undefined,
    };
    this.#sessions.set(name, session);
    return session;
  }

  async #read(session: Session): Promise<SeedReply> {
    while (session.pendingBytes < this.partBytes && !session.isAtEnd) {
      const rows = await session.iterator.next(ROWS_PER_READ);
      session.isAtEnd = rows.length === 0;
      for (const row of rows) {
        const bytes = encodeSeedRow(row);
        session.pending.push(bytes);
        session.pendingBytes += bytes.length;
      }
    }
    const all = Buffer.concat(session.pending, session.pendingBytes);
    const bytes = all.subarray(0, this.partBytes);
    const rest = all.subarray(bytes.length);
    session.pending = rest.length === 0 ? [] : [rest];
    session.pendingBytes = rest.length;
    return { isLast: session.isAtEnd && rest.length === 0, bytes };
  }

  #forgetLater(name: string, session: Session): void {
    session.timer?.cancel();
    session.timer = this.clock.after(SEED_IDLE_MS, () => {
      if (session.isBusy) return;
      void this.#forget(name);
    });
  }

  async #forget(name: string): Promise<void> {
    const session = this.#sessions.get(name);
    this.#sessions.delete(name);
    session?.timer?.cancel();
    await session?.iterator.close();
  }
}
