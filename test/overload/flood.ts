/**
 * Flood: a load from one connection, on orders of its parent process (floods.ts).
 *
 * Its open loop sends requests at their times whether or not the ones before have been answered, as
 * many independent users do. They are plain NATS requests of any program: nothing here waits for a
 * place, slows down or sends again. So what keeps the store from drowning is the store alone.
 *
 * Each request's fate and wait are noted, and nothing is subtracted for the time that this process
 * itself was late. How late it was is told beside it: a message to itself, ten times a second.
 */
import { connect, createInbox, type NatsConnection } from "nats";

/** After this a request counts as never answered. */
const PATIENCE_MS = 30_000;
const TICK_MS = 5;
const PULSE_MS = 100;

export type FloodOrder =
  | { readonly kind: "at-once"; readonly count: number }
  | { readonly kind: "steadily"; readonly perSecond: number; readonly ms: number }
  | { readonly kind: "closed-loop"; readonly inFlight: number; readonly ms: number };

export interface FloodReport {
  readonly sent: number;
  /** By error name; `ok` for answers that are none. */
  readonly answers: Readonly<Record<string, number>>;
  readonly unanswered: number;
  /** Answers that nobody waited for: to a request that has one already. */
  readonly strays: number;
  /** By milliseconds: so many requests that were taken had their answer after so long. */
  readonly waits: Readonly<Record<string, number>>;
  readonly ms: number;
  /** Increments that were acknowledged, and those of which nothing certain is known. */
  readonly counted: number;
  readonly doubtful: number;
  /** How long a message of this process to itself took at most. */
  readonly pulseMs: number;
}

interface Sent {
  readonly atMs: number;
  readonly isIncrement: boolean;
}

const names = new Map([
  ["404", "not-found"],
  ["429", "overloaded"],
  ["503", "unavailable"],
  ["504", "in-doubt"],
]);

export class Flood {
  readonly #waiting = new Map<number, Sent>();
  readonly #prefix = `${createInbox()}.`;
  readonly #pulse = createInbox();
  readonly #payload: Uint8Array;
  #report = emptyReport();
  #numberLast = 0;
  #onAnswer = (): void => {};

  private constructor(
    private readonly connection: NatsConnection,
    private readonly store: string,
    /** Key that all increments go to. */
    private readonly counter: string,
  ) {
    const value = { name: "flood", country: "c7", population: 1_234_567, lat: 12.5, group: 3 };
    this.#payload = Buffer.from(JSON.stringify(value));
    connection.subscribe(`${this.#prefix}*`, {
      callback: (_error, { subject, headers }) => {
        this.#answered(subject, headers?.get("Nats-Service-Error-Code") ?? "");
      },
    });
    connection.subscribe(this.#pulse, {
      callback: (_error, message) => {
        const ms = performance.now() - Number(message.string());
        this.#report.pulseMs = Math.max(this.#report.pulseMs, Math.round(ms));
      },
    });
  }

  static async connect(servers: string, store: string, counter: string): Promise<Flood> {
    const connection = await connect({ servers, maxReconnectAttempts: -1 });
    return new Flood(connection, store, counter);
  }

  async run(order: FloodOrder): Promise<FloodReport> {
    this.#report = emptyReport();
    const startedMs = performance.now();
    const beating = setInterval(() => this.#beat(), PULSE_MS);
    if (order.kind === "at-once") this.#atOnce(order.count);
    else if (order.kind === "steadily") await this.#steadily(order.perSecond, order.ms);
    else await this.#closedLoop(order.inFlight, order.ms);
    const endMs = performance.now() + PATIENCE_MS;
    while (this.#waiting.size > 0 && performance.now() < endMs) await tick();
    clearInterval(beating);
    const left = [...this.#waiting.values()];
    this.#report.doubtful += left.filter(({ isIncrement }) => isIncrement).length;
    this.#waiting.clear();
    return { ...this.#report, unanswered: left.length, ms: performance.now() - startedMs };
  }

  async close(): Promise<void> {
    await this.connection.close();
  }

  #atOnce(count: number): void {
    for (let index = 0; index < count; index += 1) this.#send();
  }

  async #steadily(perSecond: number, ms: number): Promise<void> {
    const startedMs = performance.now();
    let sent = 0;
    for (let nowMs = startedMs; nowMs < startedMs + ms; nowMs = performance.now()) {
      const due = Math.floor((perSecond * (nowMs - startedMs)) / 1_000);
      for (; sent < due; sent += 1) this.#send();
      await tick();
    }
  }

  async #closedLoop(inFlight: number, ms: number): Promise<void> {
    const endMs = performance.now() + ms;
    this.#onAnswer = () => {
      if (performance.now() < endMs) this.#send();
    };
    this.#atOnce(inFlight);
    while (performance.now() < endMs) await tick();
    this.#onAnswer = () => {};
  }

  #beat(): void {
    this.connection.publish(this.#pulse, String(performance.now()));
  }

  /** One half reads, three of eight set, and one of eight counts. */
  #send(): void {
    const number = (this.#numberLast += 1);
    const kind = number % 8;
    const isIncrement = kind === 7;
    this.#report.sent += 1;
    this.#waiting.set(number, { atMs: performance.now(), isIncrement });
    const options = { reply: this.#prefix + number };
    // Half the number: so that the keys that are read are those that are set.
    const key = `flood.${Math.floor(number / 2) % 5_000}`;
    if (isIncrement) {
      this.connection.publish(`${this.store}.incr.${this.counter}`, '{"by":1}', options);
    } else if (kind % 2 === 0) {
      this.connection.publish(`${this.store}.get.${key}`, "", options);
    } else {
      this.connection.publish(`${this.store}.set.${key}`, this.#payload, options);
    }
  }

  #answered(subject: string, code: string): void {
    const number = Number(subject.slice(this.#prefix.length));
    const sent = this.#waiting.get(number);
    if (sent === undefined) {
      this.#report.strays += 1;
      return;
    }
    this.#waiting.delete(number);
    const { answers, waits } = this.#report;
    const name = code === "" ? "ok" : (names.get(code) ?? `code ${code}`);
    answers[name] = (answers[name] ?? 0) + 1;
    if (sent.isIncrement && name === "ok") this.#report.counted += 1;
    if (sent.isIncrement && name === "in-doubt") this.#report.doubtful += 1;
    // Reading a key that nobody has set yet is an answer too.
    if (name === "ok" || name === "not-found") {
      const ms = Math.round(performance.now() - sent.atMs);
      waits[ms] = (waits[ms] ?? 0) + 1;
    }
    this.#onAnswer();
  }
}

interface Growing {
  sent: number;
  answers: Record<string, number>;
  strays: number;
  waits: Record<string, number>;
  counted: number;
  doubtful: number;
  pulseMs: number;
}

function emptyReport(): Growing {
  return { sent: 0, answers: {}, strays: 0, waits: {}, counted: 0, doubtful: 0, pulseMs: 0 };
}

function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, TICK_MS));
}
