/**
 * Client: one program in a simulated run. It sends the requests that its seed draws, through our
 * client or in plain NATS, and records all requests and answers (test/history).
 */
import { positionOf } from "../../protocol/position.js";
import type { HistoryRow, QueryStep, Step, StepOutcome, Stopwatch } from "../history/history.js";
import { OursChannel, type ChannelParts } from "./channel-ours.js";
import { PlainChannel } from "./channel-plain.js";
import type { Channel, QueryAsked } from "./channel.js";
import {
  drawAtomic,
  drawBatch,
  drawKind,
  drawQuery,
  drawRead,
  drawWrite,
  type Mix,
  type QueryWish,
  type Wish,
} from "./workload.js";

/** Of a program's writes: how many have a request id. Those without are sent once. */
const NAMED_SHARES = [0.2, 0.6, 0.9];
/** Requests of one client that may be under way at once. */
const BURST_MAX = 4;
/** Where a shard is gone for good every request takes its full time: then fewer are made. */
const RUN_MS_MAX = 12_000;
/** Pages of one find that are asked for. */
const PAGES_MAX = 12;

export interface ClientParts extends ChannelParts {
  readonly name: string;
  readonly mix: Mix;
  /** Between two requests, on average. */
  readonly thinkMs: number;
  /** The same for all clients of a run. */
  readonly stopwatch: Stopwatch;
  /** The last sequence of each shard's log. */
  readonly logEnds: () => Readonly<Record<string, number>>;
  readonly trace: (text: () => string) => void;
}

export class Client {
  /** In the order in which the requests ended. */
  readonly rows: HistoryRow[] = [];
  /** Answers that it should never get. */
  readonly problems: string[] = [];
  readonly #channel: Channel;
  readonly #plain: PlainChannel;
  readonly #revisions = new Map<string, number>();
  readonly #namedShare: number;
  #numberLast = 0;

  constructor(private readonly parts: ClientParts) {
    this.#plain = new PlainChannel(parts);
    this.#channel = parts.chance.happens(0.45) ? new OursChannel(parts) : this.#plain;
    // Our client names every write; others need not, and then do not send it again.
    this.#namedShare = this.#channel === this.#plain ? parts.chance.pick(NAMED_SHARES) : 1;
  }

  async run(operationCount: number): Promise<void> {
    const { chance, clock } = this.parts;
    const endMs = clock.elapsedMs() + RUN_MS_MAX;
    for (let left = operationCount; left > 0 && clock.elapsedMs() < endMs;) {
      await this.#wait(chance.integer(2 * this.parts.thinkMs + 1));
      const count = chance.happens(0.2) ? Math.min(left, 2 + chance.integer(BURST_MAX - 1)) : 1;
      left -= count;
      await Promise.all(Array.from({ length: count }, () => this.#next()));
    }
  }

  /**
   * When the faults have ended: all there is must be readable, and is compared with what was told
   * before. `isServed`: whether anybody is left to answer for the position.
   */
  async readAll(isServed: (position: number) => boolean): Promise<void> {
    const { mix, positionCount } = this.parts;
    const keys = mix.keys.filter((key) => isServed(positionOf(key, positionCount)));
    const rowCount = this.rows.length;
    await Promise.all(keys.map((key) => this.#one({ verb: "get", key, level: "linearizable" })));
    const partial = Array.from({ length: positionCount }, (_, at) => at).some(
      (at) => !isServed(at),
    );
    await this.#find({ verb: "find", where: {}, limit: 5 }, "linearizable", partial);
    await this.#count({ verb: "count", where: {}, limit: 1 }, "linearizable", partial);
    this.#mustBeAnswered(this.rows.slice(rowCount));
  }

  #mustBeAnswered(rows: readonly HistoryRow[]): void {
    for (const row of rows) {
      const outcome = row.query?.outcome ?? row.steps[0]?.outcome;
      const isPlain = outcome?.kind !== "refused" && outcome?.kind !== "unknown";
      if (isPlain || outcome.error === "limit-exceeded") continue;
      this.problems.push(`no answer with all faults ended: ${JSON.stringify(row)}`);
    }
  }

  async #next(): Promise<void> {
    const { chance, mix } = this.parts;
    const known = {
      client: this.parts.name,
      number: this.#numberLast + 1,
      revisionOf: (key: string) => this.#revisions.get(key) ?? 0,
    };
    switch (drawKind(chance, mix)) {
      case "read":
        return this.#one(drawRead(chance, mix.keys));
      case "write":
        return this.#one(drawWrite(chance, mix.keys, known));
      case "batch":
        if (chance.happens(0.5)) return this.#batch(drawAtomic(chance, mix, known), true);
        return this.#batch(drawBatch(chance, mix, known), false);
      case "query":
        return this.#query(drawQuery(chance));
      case "garbage":
        return this.#garbage();
    }
  }

  async #one(wish: Wish): Promise<void> {
    const number = ++this.#numberLast;
    const id = wish.verb === "get" ? undefined : this.#requestId(number);
    const revisionMin = this.#channel.revisionMin(wish.key);
    const minimum = wish.level === "session" ? { minRevision: revisionMin } : {};
    const invokedAt = this.parts.stopwatch.now();
    const outcome = await this.#channel.one(wish, id);
    const steps = [{ ...wish, ...minimum, outcome }];
    this.#end({ kind: "single", number, steps, invokedAt, ...(id && { requestId: id }) });
    if (outcome.kind === "written") await this.#lookAfter(wish.key);
  }

  /** At once, when some replicas have not yet heard of what was written. */
  async #lookAfter(key: string): Promise<void> {
    const { chance } = this.parts;
    if (chance.happens(0.05)) return this.#query(drawQuery(chance));
    if (!chance.happens(0.25)) return;
    await this.#one({ verb: "get", key, level: chance.happens(0.3) ? "session" : "linearizable" });
  }

  async #batch(wishes: readonly Wish[], atomic: boolean): Promise<void> {
    const number = ++this.#numberLast;
    const requestId = this.#requestId(number);
    const invokedAt = this.parts.stopwatch.now();
    const outcomes = await this.#channel.batch(wishes, atomic, requestId);
    const steps = wishes.map((wish, index): Step => {
      return { ...wish, outcome: outcomes[index] as StepOutcome };
    });
    const kind = atomic ? "atomic" : "batch";
    this.#end({ kind, number, steps, invokedAt, ...(requestId && { requestId }) });
  }

  async #query(wish: QueryWish): Promise<void> {
    const { chance } = this.parts;
    const level = chance.happens(0.8) ? "linearizable" : "stale";
    const partial = chance.happens(0.3);
    if (wish.verb === "count") return this.#count(wish, level, partial);
    return this.#find(wish, level, wish.verb === "find" && partial);
  }

  async #count(wish: QueryWish, level: QueryStep["level"], partial: boolean): Promise<void> {
    // Our client's count gives a number alone, which only a certificate could prove.
    await this.#page(this.#plain, { ...wish, level, partial });
  }

  /** Page by page. Our client does so by itself for keys, so that is one answer of all pages. */
  async #find(wish: QueryWish, level: QueryStep["level"], partial: boolean): Promise<void> {
    let continued: Continued = {};
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const next = await this.#page(this.#channel, { ...wish, level, partial }, continued);
      if (next === undefined) return;
      continued = next;
      if (this.parts.chance.happens(0.3)) await this.#wait(this.parts.chance.integer(100));
    }
  }

  async #page(
    channel: Channel,
    asked: QueryAsked,
    { cursor, continues }: Continued = {},
  ): Promise<Continued | undefined> {
    const number = ++this.#numberLast;
    const invokedAt = this.parts.stopwatch.now();
    const answer = await channel.query({ ...asked, ...(cursor && { cursor }) });
    const { verb: kind, ...rest } = asked;
    const ends = { logEnds: this.parts.logEnds() };
    const query = { ...rest, ...ends, ...(continues && { continues }), outcome: answer.outcome };
    this.#end({ kind, number, steps: [], query, invokedAt });
    if (answer.cursor === undefined) return undefined;
    return { cursor: answer.cursor, continues: `${this.parts.name}/${number}` };
  }

  async #garbage(): Promise<void> {
    const error = await this.#plain.garbage();
    const isRight = error !== undefined && garbageErrors.has(error.kind);
    if (isRight) return;
    this.problems.push(`garbage was answered ${error?.kind ?? "nothing"}: ${error?.message ?? ""}`);
  }

  #end(ended: Omit<HistoryRow, "client" | "returnedAt">): void {
    const returnedAt = this.parts.stopwatch.now();
    const row = { client: this.parts.name, ...ended, returnedAt };
    this.rows.push(row);
    for (const { key, outcome } of row.steps) {
      if (outcome.kind === "absent") this.#revisions.set(key, 0);
      else if ("revision" in outcome) this.#revisions.set(key, outcome.revision);
      if ("error" in outcome && outcome.error === "internal") {
        this.problems.push(`an internal error was told: ${JSON.stringify(row)}`);
      }
    }
    this.parts.trace(() => JSON.stringify(row));
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.parts.clock.after(ms, resolve));
  }

  /** Half of them are UUIDs of version 7, as our client has them. Undefined = it gets none. */
  #requestId(number: number): string | undefined {
    const { chance, clock, name } = this.parts;
    if (!chance.happens(this.#namedShare)) return undefined;
    if (chance.happens(0.5)) return `${name}-${number}`;
    const time = clock.now().toString(16).padStart(12, "0");
    const random = Buffer.from(chance.bytes(8)).toString("hex");
    const rest = `7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(4)}`;
    return `${time.slice(0, 8)}-${time.slice(8)}-${rest}`;
  }
}

interface Continued {
  readonly cursor?: string;
  readonly continues?: string;
}

/** The answers that garbage may get; the last three because faults may stop it on its way. */
const garbageErrors = new Set([
  "bad-request",
  "unsupported",
  "unavailable",
  "in-doubt",
  "overloaded",
]);
