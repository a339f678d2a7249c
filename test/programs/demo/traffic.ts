/**
 * Traffic: writers and readers that have one request each under way all the time, and count what
 * becomes of them. Each writer sets a key of its own after another, with a request id (the client
 * makes one for each), and half of them read back what they have set.
 */
import { connect, type Json, type Ringdex } from "../../../infra/client/client.js";
import { systemClock } from "../../../infra/clock.js";

const WRITERS = 96;
/** Long enough for a node to be started again; what fails then has failed. */
const TIMEOUT_MS = 30_000;

export class Traffic {
  /** By key: the value that was acknowledged. */
  readonly acknowledged = new Map<string, Json>();
  getCount = 0;
  /** Sent again, by the client, with the same request id. */
  retriedCount = 0;
  /** Reads that did not give what had been acknowledged before they began. */
  wrongCount = 0;
  readonly failures: string[] = [];
  inFlight = 0;
  /** Between two acknowledgements of writes, whoever's. */
  gapMaxMs = 0;
  /** From a request to its answer. */
  waitMaxMs = 0;
  #lastMs = 0;
  #isStopping = false;
  #running: Promise<unknown> = Promise.resolve();

  private constructor(private readonly db: Ringdex) {}

  /** Over a connection of its own. */
  static async start(url: string): Promise<Traffic> {
    const told = { retried: (): void => undefined };
    const onRetry = (): void => told.retried();
    const traffic = new Traffic(await connect({ servers: url, timeoutMs: TIMEOUT_MS, onRetry }));
    told.retried = () => void (traffic.retriedCount += 1);
    traffic.#lastMs = systemClock.elapsedMs();
    const writers = Array.from({ length: WRITERS }, (_, writer) => traffic.#write(writer));
    traffic.#running = Promise.all(writers);
    return traffic;
  }

  /** Resolves when what was under way has been answered. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
    await this.db.close();
  }

  async #write(writer: number): Promise<void> {
    for (let round = 0; !this.#isStopping; round += 1) {
      const key = `traffic.${writer}.${round}`;
      const value = { writer, round };
      const isSet = await this.#request(`set ${key}`, async () => {
        await this.db.set(key, value);
        const nowMs = systemClock.elapsedMs();
        this.gapMaxMs = Math.max(this.gapMaxMs, nowMs - this.#lastMs);
        this.#lastMs = nowMs;
        this.acknowledged.set(key, value);
      });
      if (!isSet || writer % 2 === 0) continue;
      await this.#request(`get ${key}`, async () => {
        const entry = await this.db.get(key);
        this.getCount += 1;
        if (JSON.stringify(entry?.value) !== JSON.stringify(value)) this.wrongCount += 1;
      });
    }
  }

  async #request(what: string, work: () => Promise<void>): Promise<boolean> {
    const startMs = systemClock.elapsedMs();
    this.inFlight += 1;
    try {
      await work();
      return true;
    } catch (error) {
      this.failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    } finally {
      this.inFlight -= 1;
      this.waitMaxMs = Math.max(this.waitMaxMs, systemClock.elapsedMs() - startMs);
    }
  }
}
