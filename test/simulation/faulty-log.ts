/**
 * Faulty log: a process's way to its log, on which calls fail, get lost, come late or twice.
 */
import type {
  Appended,
  Delivery,
  Log,
  LogConsumer,
  LogMessage,
  LogState,
} from "../../infra/log.js";
import { KvError } from "../../protocol/errors.js";
import type { LogId, Sequence, ShardId } from "../../protocol/ids.js";
import type { HostClock, ManualClock, SeededChance } from "../support/manual-clock.js";
import type { MemoryLog, MemoryStream } from "../support/memory-log.js";
import type { Faults } from "./faults.js";
import { LogServer } from "./log-server.js";

/** A late or second copy lands within this. */
const LATE_MS_MAX = 3_000;
/** How long a log that is not there takes to say so. */
const UNAVAILABLE_MS = 100;
/** How long it takes to hear that nobody takes an entry. */
const REFUSED_MS_MAX = 50;
/** Of the answers that do not come: after which the log refuses for a while. */
const REFUSES_AFTER = 0.4;

export interface FaultyLogParts {
  readonly inner: MemoryLog;
  readonly stream: MemoryStream;
  readonly world: ManualClock;
  readonly host: HostClock;
  readonly chance: SeededChance;
  readonly faults: Faults;
  /** An append met a log that has no room. */
  readonly onFull: () => void;
  readonly trace: (text: () => string) => void;
}

export class FaultyLog implements Log {
  readonly shard: ShardId;
  readonly id: LogId;
  readonly #server: LogServer;

  constructor(private readonly parts: FaultyLogParts) {
    this.shard = parts.inner.shard;
    this.id = parts.inner.id;
    this.#server = LogServer.of(parts.stream, parts.world, parts.chance, parts.faults);
    this.#server.join(parts.inner);
  }

  get tailIsExact(): boolean {
    return this.parts.inner.tailIsExact;
  }

  async append(data: Uint8Array, timeoutMs: number): Promise<Appended> {
    const { faults, inner, chance } = this.parts;
    if (this.#server.refuses) {
      faults.count("append refused");
      await this.#pause(chance.integer(REFUSED_MS_MAX));
      return { kind: "refused", reason: "nobody answers for the log" };
    }
    if (faults.happens("delivery lost")) inner.dropNextDelivery();
    const fate = this.#fate();
    if (fate === "refused") {
      await this.#pause(1);
      return { kind: chance.happens(0.5) ? "full" : "refused", reason: "as the seed has it" };
    }
    if (fate === "landed" || fate === "vanished") inner.loseNextAck(fate);
    if (fate === "late") inner.loseNextAck("vanished");
    if (fate !== undefined && chance.happens(REFUSES_AFTER)) this.#server.refuseForAWhile();
    const copy = data.slice();
    const appending = inner.append(data, timeoutMs);
    if (faults.happens("log away")) this.#server.leave("briefly");
    else if (faults.happens("log away for long")) this.#server.leave("for long");
    const result = await appending;
    if (result.kind === "full") this.parts.onFull();
    this.parts.trace(() => `append ${copy.length} bytes: ${shown(result)}`);
    // A refused append never lands: the log promises that.
    const mayLand = result.kind === "accepted" || result.kind === "unanswered";
    if (mayLand && (fate === "late" || faults.happens("entry twice"))) this.#later(copy);
    return result;
  }

  /** Undefined = nothing goes wrong with this one. */
  #fate(): "landed" | "vanished" | "late" | "refused" | undefined {
    const { faults } = this.parts;
    if (faults.happens("acknowledgement lost")) return "landed";
    if (faults.happens("entry lost")) return "vanished";
    if (faults.happens("entry late")) return "late";
    return faults.happens("append refused") ? "refused" : undefined;
  }

  consume(after: Sequence): LogConsumer {
    const inner = this.parts.inner.consume(after);
    return {
      next: async () => {
        const delivery = await inner.next();
        if (delivery !== undefined) this.parts.trace(() => deliveryShown(delivery));
        return delivery;
      },
      stop: () => inner.stop(),
    };
  }

  async read(sequence: Sequence): Promise<LogMessage | undefined> {
    await this.#mayFail();
    const message = await this.parts.inner.read(sequence);
    this.parts.trace(() => `read ${sequence}: ${message === undefined ? "not there" : "found"}`);
    return message;
  }

  async state(): Promise<LogState> {
    await this.#mayFail();
    return this.parts.inner.state();
  }

  async tail(): Promise<Sequence> {
    await this.#mayFail();
    return this.parts.inner.tail();
  }

  async makeRoom(): Promise<void> {
    await this.#mayFail();
    this.parts.trace(() => "room is made in a full log");
    return this.parts.inner.makeRoom();
  }

  /** A copy lands, whatever becomes of the process. */
  #later(data: Uint8Array): void {
    const { world, chance, stream } = this.parts;
    world.after(chance.integer(LATE_MS_MAX), () => void stream.take(data));
  }

  async #mayFail(): Promise<void> {
    if (!this.parts.faults.happens("log unavailable")) return;
    await this.#pause(UNAVAILABLE_MS);
    throw new KvError("unavailable", "as the seed has it");
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.parts.host.after(ms, resolve));
  }
}

function shown(result: Appended): string {
  return result.kind === "accepted" ? `at ${result.sequence}` : `${result.kind}, ${result.reason}`;
}

function deliveryShown(delivery: Delivery): string {
  if (delivery.kind === "resumed") return "consumer resumed";
  const [first, last] = [delivery.messages[0]?.sequence, delivery.messages.at(-1)?.sequence];
  return `delivered ${first ?? 0} to ${last ?? 0}`;
}
