/**
 * Relay: turns a shard's log into one public event per change.
 *
 * Mailbox     kv.relay-alive.<shard>: signs of life of the shard's active relay
 * State       whose turn it is, the place of the last marker; nothing that must survive
 * Decides in  relay-core.ts, lease.ts, durable-place.ts (no I/O); turn.ts publishes
 * Lifecycle   on standby ⇄ active, until stopped
 * On a bug    InvariantError or a failed read leaves run(); the relay is started again
 *
 * Every replica runs one. The active relay publishes (a Turn) and says that it is alive; when it
 * falls silent another takes over. The stream refuses all but the one that began last, so two
 * relays that both consider themselves active publish nothing twice.
 */
import type { Message } from "../../infra/bus.js";
import { sleep } from "../../infra/clock.js";
import { KvError } from "../../protocol/errors.js";
import type { Sequence } from "../../protocol/ids.js";
import { RELAY_BEHIND_MAX } from "../../protocol/limits.js";
import { DurablePlace } from "./durable-place.js";
import { ALIVE_MS, Lease } from "./lease.js";
import { readMarker } from "./relay-core.js";
import { Turn, type RelayParts } from "./turn.js";

/** How often the last marker is looked at. */
const LOOK_MS = 10_000;
/** The same while the stream does not answer. */
const LOOK_AGAIN_MS = 1_000;

export interface RelayStatus {
  readonly active: boolean;
  /** Changes of the log up to here have been published, as far as this relay knows. */
  readonly sequence: Sequence;
}

export class Relay {
  /** Random: tells this relay from every other, also from an earlier one of the same replica. */
  readonly #id: string;
  readonly #lease: Lease;
  readonly #durable = new DurablePlace();
  readonly #stopping = new AbortController();
  #turn: Turn | undefined;
  /** Ends a wait for the lease. */
  #wake: (() => void) | undefined;
  #sequenceSeen = 0 as Sequence;
  /** Undefined until the stream is known to be there. */
  #isDurable: boolean | undefined;

  constructor(private readonly parts: RelayParts) {
    const { chance, clock, rank } = parts;
    this.#id = Buffer.from(chance.bytes(8)).toString("hex");
    this.#lease = new Lease(rank, () => chance.fraction(), clock.elapsedMs());
  }

  /** Ends after stop(). */
  async run(): Promise<void> {
    const { bus, names, shard } = this.parts;
    const subscription = bus.subscribe(names.relayAlive(shard), undefined, (message) =>
      this.#onAlive(message),
    );
    const loops = [this.#takeTurns(), this.#lookAtPlace()];
    try {
      await Promise.all(loops);
    } finally {
      this.stop();
      subscription.unsubscribe();
      await Promise.allSettled(loops);
    }
  }

  /** The place is written down first, if this relay is active. */
  stop(): void {
    this.#stopping.abort();
    this.#wake?.();
    this.#turn?.stop();
  }

  status(): RelayStatus {
    const turn = this.#turn;
    return { active: turn !== undefined, sequence: turn?.sequence ?? this.#sequenceSeen };
  }

  /**
   * The relay no longer needs the outcome rows up to here. A relay that is behind by more than
   * RELAY_BEHIND_MAX entries loses its rows, and consumers get a reset.
   */
  durablePlace(): Sequence {
    const limit = this.parts.applied.appliedSequence - RELAY_BEHIND_MAX;
    return Math.max(this.#durable.sequence, limit) as Sequence;
  }

  async #takeTurns(): Promise<void> {
    const { clock } = this.parts;
    while (!this.#isStopping) {
      const leftMs = this.#lease.leftMs(clock.elapsedMs());
      if (leftMs > 0) await this.#standBy(leftMs);
      else await this.#beActive();
    }
  }

  /** Waits at most `ms`: a message that arrives meanwhile may end the lease earlier. */
  #standBy(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.parts.clock.after(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  async #beActive(): Promise<void> {
    const { shard, node, clock, logger, events } = this.parts;
    let ended = false;
    let turn: Turn | undefined;
    try {
      this.#isDurable = (await events.open()).isDurable;
      if (this.#isStopping) return;
      turn = new Turn(this.parts, this.#id, (sequence) => this.#noteMarker(sequence));
      this.#turn = turn;
      logger.info("the relay is active", { shard, node });
      const turnEnds = turn.run();
      const announcing = this.#announce(() => !ended);
      await turnEnds.finally(() => {
        ended = true;
      });
      await announcing;
      this.#sayAlive(true);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      logger.info("the relay is on standby", { shard, node, reason: error.message });
      // What fails here may work elsewhere, and need not be waited for.
      this.#sayAlive(true);
    } finally {
      ended = true;
      this.#sequenceSeen = turn?.sequence ?? this.#sequenceSeen;
      this.#turn = undefined;
      this.#lease.wait(clock.elapsedMs());
    }
  }

  async #announce(isActive: () => boolean): Promise<void> {
    while (isActive() && !this.#isStopping) {
      this.#sayAlive(false);
      await this.#pause(ALIVE_MS);
    }
  }

  #sayAlive(ends: boolean): void {
    const { bus, names, shard, node } = this.parts;
    const body = JSON.stringify({ relay: this.#id, node, ends });
    bus.publish(names.relayAlive(shard), Buffer.from(body));
  }

  #onAlive(message: Message): void {
    let body: { readonly relay?: unknown; readonly ends?: unknown } | null;
    try {
      body = JSON.parse(Buffer.from(message.data).toString()) as typeof body;
    } catch {
      // Not from a relay: says nothing about one.
      return;
    }
    if (typeof body?.relay !== "string" || body.relay === this.#id) return;
    const nowMs = this.parts.clock.elapsedMs();
    if (body.ends !== true) return this.#lease.heard(body.relay, nowMs);
    this.#lease.ended(body.relay, nowMs);
    this.#wake?.();
  }

  /** For the rows that must be kept: a relay that stands by must know what the active one did. */
  async #lookAtPlace(): Promise<void> {
    const { events, names, shard, logId, logger } = this.parts;
    while (!this.#isStopping) {
      try {
        this.#isDurable ??= (await events.open()).isDurable;
        const last = await events.last(names.relayMarker(shard));
        const marker = last && readMarker(last);
        const isOurs = marker !== undefined && marker.logId === logId;
        this.#noteMarker(isOurs ? marker.sequence : (0 as Sequence));
        await this.#pause(LOOK_MS);
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        logger.debug("could not read the relay's place", { shard, error: error.message });
        await this.#pause(LOOK_AGAIN_MS);
      }
    }
  }

  #noteMarker(sequence: Sequence): void {
    this.#sequenceSeen = sequence;
    this.#durable.note(sequence, this.parts.clock.elapsedMs(), this.#isDurable === true);
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** At most `ms`; stop() ends it. */
  async #pause(ms: number): Promise<void> {
    await sleep(this.parts.clock, ms, this.#stopping.signal).catch(() => undefined);
  }
}
