/**
 * An in-memory NATS: one network, any number of buses on it, with faults on demand.
 *
 * Everything passes through the clock, so a manual clock and a seed replay a run. Messages from one
 * bus to another keep their order, also when a fault delays some of them.
 */
import type {
  Bus,
  BusStatus,
  HeaderList,
  HeaderMap,
  Message,
  PublishOptions,
  RequestOptions,
  ServerInfo,
  Subscription,
} from "../../infra/bus.js";
import type { Chance, Clock } from "../../infra/clock.js";
import { KvError } from "../../protocol/errors.js";
import { PAYLOAD_BYTES_MAX } from "../../protocol/limits.js";

/** What happens to one message on its way from one bus to one subscriber. */
export interface Fate {
  readonly drop?: boolean;
  readonly delayMs?: number;
  /** How often it arrives; default 1. */
  readonly copies?: number;
}

export interface Passage {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
}

export interface MemoryNetworkOptions {
  readonly clock: Clock;
  readonly chance: Chance;
  /** Asked once for each message and receiver; default: all arrive, at once. */
  readonly fate?: (passage: Passage) => Fate;
  readonly onFailure?: (error: unknown) => void;
}

interface Member {
  readonly bus: MemoryBus;
  readonly pattern: readonly string[];
  readonly queue: string | undefined;
  handler: ((message: Message) => void) | undefined;
}

export class MemoryNetwork {
  readonly clock: Clock;
  /** What handlers threw, if nobody else takes it. */
  readonly failures: unknown[] = [];
  /** May be replaced at any time. */
  fate: (passage: Passage) => Fate;
  server: ServerInfo = {
    version: "2.14.5",
    name: "memory",
    maxPayload: PAYLOAD_BYTES_MAX,
    clustered: false,
  };
  readonly #chance: Chance;
  readonly #onFailure: (error: unknown) => void;
  readonly #members = new Set<Member>();
  readonly #lanes = new Map<string, { dueMs: number; deliveries: (() => void)[] }>();
  #busCount = 0;

  constructor(options: MemoryNetworkOptions) {
    this.clock = options.clock;
    this.#chance = options.chance;
    this.fate = options.fate ?? (() => ({}));
    this.#onFailure = options.onFailure ?? ((error) => void this.failures.push(error));
  }

  connect(name: string): MemoryBus {
    this.#busCount += 1;
    return new MemoryBus(this, name, this.#busCount);
  }

  join(member: Member): void {
    this.#members.add(member);
  }

  leave(member: Member): void {
    this.#members.delete(member);
  }

  /** Sends to every matching subscriber and one member of each queue. Returns how many that is. */
  send(from: MemoryBus, subject: string, message: Message): number {
    const tokens = subject.split(".");
    const receivers: Member[] = [];
    const queues = new Map<string, Member[]>();
    for (const member of this.#members) {
      if (member.bus.status !== "connected" || !isMatch(member.pattern, tokens)) continue;
      if (member.queue === undefined) receivers.push(member);
      else queues.set(member.queue, [...(queues.get(member.queue) ?? []), member]);
    }
    for (const members of queues.values()) {
      const chosen = members[Math.floor(this.#chance.fraction() * members.length)];
      if (chosen !== undefined) receivers.push(chosen);
    }
    for (const receiver of receivers) this.#pass(from, receiver, message);
    return receivers.length;
  }

  /** Calls `done` after everything that is on its way from `bus` by now has arrived. */
  afterAll(bus: MemoryBus, done: () => void): void {
    const keyStart = `${bus.number}>`;
    const lanes = [...this.#lanes].filter(([key]) => key.startsWith(keyStart));
    const latestMs = Math.max(0, ...lanes.map(([, lane]) => lane.dueMs - this.clock.elapsedMs()));
    this.clock.after(latestMs, () => this.clock.soon(done));
  }

  #pass(from: MemoryBus, member: Member, message: Message): void {
    const passage = { from: from.name, to: member.bus.name, subject: message.subject };
    const { drop = false, delayMs = 0, copies = 1 } = this.fate(passage);
    if (drop) return;
    const key = `${from.number}>${member.bus.number}`;
    const lane = this.#lanes.get(key) ?? { dueMs: 0, deliveries: [] };
    this.#lanes.set(key, lane);
    const nowMs = this.clock.elapsedMs();
    lane.dueMs = Math.max(lane.dueMs, nowMs + delayMs);
    for (let copy = 0; copy < copies; copy++) {
      lane.deliveries.push(() => this.#deliver(member, message));
      // Whichever timer comes first takes the oldest: that keeps the order of the lane.
      const takeOldest = (): void => lane.deliveries.shift()?.();
      if (lane.dueMs > nowMs) this.clock.after(lane.dueMs - nowMs, takeOldest);
      else this.clock.soon(takeOldest);
    }
  }

  #deliver(member: Member, message: Message): void {
    if (member.bus.status !== "connected") return;
    try {
      member.handler?.(message);
    } catch (error) {
      this.#onFailure(error);
    }
  }
}

interface Waiting {
  readonly sent: boolean;
  readonly settle: () => void;
  readonly resolve: (message: Message) => void;
  readonly reject: (reason: unknown) => void;
}

export class MemoryBus implements Bus {
  status: BusStatus = "connected";
  readonly #network: MemoryNetwork;
  readonly #listeners = new Set<(status: BusStatus) => void>();
  readonly #members = new Set<Member>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #inbox: string;
  #requestCount = 0;

  constructor(
    network: MemoryNetwork,
    readonly name: string,
    readonly number: number,
  ) {
    this.#network = network;
    this.#inbox = `_INBOX.${number}`;
    this.subscribe(`${this.#inbox}.*`, undefined, (message) => {
      this.#finish(message.subject)?.resolve(message);
    });
  }

  publish(subject: string, data: Uint8Array, options: PublishOptions = {}): void {
    this.#check(subject, data);
    if (this.status !== "connected") return;
    this.#network.send(this, subject, messageOf(subject, data, options));
  }

  subscribe(
    subject: string,
    queue: string | undefined,
    handler: (message: Message) => void,
  ): Subscription {
    const member: Member = { bus: this, pattern: subject.split("."), queue, handler };
    this.#network.join(member);
    this.#members.add(member);
    const leave = (): void => {
      this.#network.leave(member);
      this.#members.delete(member);
    };
    return {
      unsubscribe: () => {
        leave();
        member.handler = undefined;
      },
      drain: () => {
        leave();
        return new Promise((resolve) => {
          this.#network.clock.soon(() => {
            member.handler = undefined;
            resolve();
          });
        });
      },
    };
  }

  request(subject: string, data: Uint8Array, options: RequestOptions): Promise<Message> {
    return new Promise((resolve, reject) => {
      const { signal, timeoutMs } = options;
      if (signal?.aborted === true) return reject(signal.reason as Error);
      this.#check(subject, data);
      if (this.status === "closed") return reject(unavailable("the connection is closed"));
      const reply = `${this.#inbox}.${++this.#requestCount}`;
      const abort = (): void => this.#finish(reply)?.reject(signal?.reason);
      const timer = this.#network.clock.after(timeoutMs, () => {
        const sent = this.#waiting.get(reply)?.sent === true;
        this.#finish(reply)?.reject(sent ? inDoubt(subject) : unavailable("no connection"));
      });
      const settle = (): void => {
        timer.cancel();
        signal?.removeEventListener("abort", abort);
      };
      signal?.addEventListener("abort", abort, { once: true });
      const row = { settle, resolve, reject };
      const send = (): void => {
        if (!this.#waiting.has(reply)) return;
        this.#waiting.set(reply, { ...row, sent: true });
        const message = messageOf(subject, data, { ...options, reply });
        if (this.#network.send(this, subject, message) > 0) return;
        const nobody = unavailable(`nobody listens to ${subject}`);
        this.#network.clock.soon(() => this.#finish(reply)?.reject(nobody));
      };
      this.#waiting.set(reply, { ...row, sent: false });
      if (this.status === "connected") send();
      else this.#whenConnected(send);
    });
  }

  flush(): Promise<void> {
    if (this.status !== "connected") return Promise.reject(unavailable("no connection"));
    return new Promise((resolve) => this.#network.afterAll(this, resolve));
  }

  server(): ServerInfo {
    return this.#network.server;
  }

  onStatus(listener: (status: BusStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): Promise<void> {
    this.#change("closed");
    for (const member of this.#members) this.#network.leave(member);
    return Promise.resolve();
  }

  /** The connection goes: nothing comes in or out until reconnect(). */
  disconnect(): void {
    if (this.status === "connected") this.#change("disconnected");
  }

  reconnect(): void {
    if (this.status === "disconnected") this.#change("connected");
  }

  #whenConnected(send: () => void): void {
    const unlisten = this.onStatus((status) => {
      unlisten();
      if (status === "connected") send();
    });
  }

  #change(status: BusStatus): void {
    this.status = status;
    for (const [reply, { sent, reject }] of this.#waiting) {
      if (status !== "connected" && sent) {
        this.#finish(reply);
        reject(inDoubt("the connection"));
      } else if (status === "closed") {
        this.#finish(reply);
        reject(unavailable("the connection was closed"));
      }
    }
    for (const listener of this.#listeners) listener(status);
  }

  #finish(reply: string): Waiting | undefined {
    const waiting = this.#waiting.get(reply);
    this.#waiting.delete(reply);
    waiting?.settle();
    return waiting;
  }

  #check(subject: string, data: Uint8Array): void {
    const limit = this.server().maxPayload;
    const size = data.length;
    if (size <= limit) return;
    const description = `message to ${subject} has ${size} bytes, the server takes ${limit}`;
    throw new KvError("too-large", description, { limit, size });
  }
}

function messageOf(subject: string, data: Uint8Array, options: PublishOptions): Message {
  return {
    subject,
    data: data.slice(),
    reply: options.reply,
    headers: headersOf(options.headers ?? []),
  };
}

function headersOf(list: HeaderList): HeaderMap | undefined {
  const headers = new Map<string, string[]>();
  for (const [name, value] of list) {
    if (/[\r\n]/.test(value)) {
      throw new KvError("bad-request", `header ${name}: its value must not contain CR or LF`);
    }
    const values = headers.get(name.toLowerCase()) ?? [];
    headers.set(name.toLowerCase(), [...values, value.trim()]);
  }
  return headers.size === 0 ? undefined : headers;
}

/** NATS's wildcards: `*` is any one token, `>` one or more at the end. */
export function isMatch(pattern: readonly string[], tokens: readonly string[]): boolean {
  for (const [index, token] of pattern.entries()) {
    if (token === ">") return tokens.length > index;
    if (index >= tokens.length || (token !== "*" && token !== tokens[index])) return false;
  }
  return pattern.length === tokens.length;
}

function unavailable(description: string): KvError {
  return new KvError("unavailable", description);
}

function inDoubt(subject: string): KvError {
  return new KvError("in-doubt", `no answer from ${subject}`);
}
