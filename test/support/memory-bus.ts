/**
 * An in-memory NATS: one network, any number of buses on it, with faults on demand.
 *
 * All messages pass through the clock, so a manual clock and a seed replay a run. Messages from one
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
import { copyOfBytes } from "./copy-of-bytes.js";
import type { HostClock } from "./manual-clock.js";
import { SubjectTree } from "./subject-tree.js";

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
  readonly message: Message;
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
  readonly queue: string | undefined;
  handler: ((message: Message) => void) | undefined;
}

/** Messages on their way from one bus to another, in order. */
interface Lane {
  dueMs: number;
  readonly deliveries: (() => void)[];
}

export class MemoryNetwork {
  readonly clock: Clock;
  /** Errors that handlers threw, if no other code takes them. */
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
  readonly #members = new SubjectTree<Member>();
  #busCount = 0;

  constructor(options: MemoryNetworkOptions) {
    this.clock = options.clock;
    this.#chance = options.chance;
    this.fate = options.fate ?? (() => ({}));
    this.#onFailure = options.onFailure ?? ((error) => void this.failures.push(error));
  }

  /** `host`: the process that the bus is of. Default: one that always runs. */
  connect(name: string, host?: HostClock): MemoryBus {
    this.#busCount += 1;
    const always = { enter: (task: () => void): void => task(), clock: this.clock };
    const own = host && { enter: (task: () => void) => host.enter(task), clock: host };
    return new MemoryBus(this, name, this.#busCount, own ?? always);
  }

  /** Returns the end of it. */
  join(subject: string, member: Member): () => void {
    return this.#members.add(subject, member);
  }

  /** Sends to every matching subscriber and one member of each queue. Returns how many that is. */
  send(from: MemoryBus, subject: string, message: Message): number {
    let count = 0;
    let queues: Map<string, Member[]> | undefined;
    for (const member of this.#members.match(subject)) {
      if (member.bus.status !== "connected") continue;
      if (member.queue === undefined) {
        this.#pass(from, member, message);
        count += 1;
        continue;
      }
      queues ??= new Map();
      const members = queues.get(member.queue);
      if (members === undefined) queues.set(member.queue, [member]);
      else members.push(member);
    }
    for (const members of queues?.values() ?? []) {
      const chosen = members[Math.floor(this.#chance.fraction() * members.length)];
      if (chosen === undefined) continue;
      this.#pass(from, chosen, message);
      count += 1;
    }
    return count;
  }

  /** Calls `done` after everything that is on its way from `bus` by now has arrived. */
  afterAll(bus: MemoryBus, done: () => void): void {
    const nowMs = this.clock.elapsedMs();
    let latestMs = 0;
    for (const { dueMs } of bus.lanes.values()) latestMs = Math.max(latestMs, dueMs - nowMs);
    this.clock.after(latestMs, () => this.clock.soon(done));
  }

  #pass(from: MemoryBus, member: Member, message: Message): void {
    const passage = { from: from.name, to: member.bus.name, message };
    const { drop = false, delayMs = 0, copies = 1 } = this.fate(passage);
    if (drop) return;
    let lane = from.lanes.get(member.bus);
    if (lane === undefined) from.lanes.set(member.bus, (lane = { dueMs: 0, deliveries: [] }));
    const { deliveries } = lane;
    const nowMs = this.clock.elapsedMs();
    lane.dueMs = Math.max(lane.dueMs, nowMs + delayMs);
    // Whichever timer comes first takes the oldest: that keeps the order of the lane.
    const takeOldest = (): void => deliveries.shift()?.();
    for (let copy = 0; copy < copies; copy++) {
      deliveries.push(() => this.#deliver(member, message));
      if (lane.dueMs > nowMs) this.clock.after(lane.dueMs - nowMs, takeOldest);
      else this.#arrive(member.bus, takeOldest);
    }
  }

  /** Messages that reach a program at one moment come with one read of its socket. */
  #arrive({ arriving }: MemoryBus, take: () => void): void {
    arriving.push(take);
    if (arriving.length > 1) return;
    this.clock.soon(() => {
      for (const each of arriving.splice(0)) each();
    });
  }

  #deliver(member: Member, message: Message): void {
    if (member.bus.status !== "connected") return;
    member.bus.host.enter(() => {
      try {
        member.handler?.(message);
      } catch (error) {
        this.#onFailure(error);
      }
    });
  }
}

/** Where a bus's program runs. */
interface Host {
  enter(task: () => void): void;
  readonly clock: Clock;
}

interface Waiting {
  sent: boolean;
  readonly settle: () => void;
  readonly resolve: (message: Message) => void;
  readonly reject: (reason: unknown) => void;
}

export class MemoryBus implements Bus {
  status: BusStatus = "connected";
  readonly #network: MemoryNetwork;
  readonly lanes = new Map<MemoryBus, Lane>();
  /** Takes what has come and was not read yet. */
  readonly arriving: (() => void)[] = [];
  readonly #listeners = new Set<(status: BusStatus) => void>();
  readonly #leaves = new Set<() => void>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #inbox: string;
  #requestCount = 0;

  constructor(
    network: MemoryNetwork,
    readonly name: string,
    number: number,
    readonly host: Host,
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
    const member: Member = { bus: this, queue, handler };
    const end = this.#network.join(subject, member);
    const leave = (): void => {
      end();
      this.#leaves.delete(leave);
    };
    this.#leaves.add(leave);
    return {
      unsubscribe: () => {
        leave();
        member.handler = undefined;
      },
      drain: () => {
        leave();
        return new Promise((resolve) => {
          this.host.clock.soon(() => {
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
      const timer = this.host.clock.after(timeoutMs, () => {
        this.#finish(reply)?.reject(row.sent ? inDoubt(subject) : unavailable("no connection"));
      });
      const settle = (): void => {
        timer.cancel();
        signal?.removeEventListener("abort", abort);
      };
      signal?.addEventListener("abort", abort, { once: true });
      const row: Waiting = { sent: false, settle, resolve, reject };
      const send = (): void => {
        if (!this.#waiting.has(reply)) return;
        row.sent = true;
        const message = messageOf(subject, data, { ...options, reply });
        if (this.#network.send(this, subject, message) > 0) return;
        const nobody = unavailable(`nobody listens to ${subject}`);
        this.host.clock.soon(() => this.#finish(reply)?.reject(nobody));
      };
      this.#waiting.set(reply, row);
      if (this.status === "connected") send();
      else this.#whenConnected(send);
    });
  }

  flush(): Promise<void> {
    if (this.status !== "connected") return Promise.reject(unavailable("no connection"));
    return new Promise((resolve) => {
      this.#network.afterAll(this, () => this.host.enter(resolve));
    });
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
    for (const leave of this.#leaves) leave();
    return Promise.resolve();
  }

  /** The process is dead: no caller gets an answer. */
  kill(): void {
    this.status = "closed";
    this.#waiting.clear();
    this.#listeners.clear();
    for (const leave of this.#leaves) leave();
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
    this.host.enter(() => this.#tell(status));
  }

  #tell(status: BusStatus): void {
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
    data: copyOfBytes(data),
    reply: options.reply,
    headers: headersOf(options.headers ?? []),
  };
}

function headersOf(list: HeaderList): HeaderMap | undefined {
  if (list.length === 0) return undefined;
  const headers = new Map<string, string[]>();
  for (const [name, value] of list) {
    if (/[\r\n]/.test(value)) {
      throw new KvError("bad-request", `header ${name}: its value must not contain CR or LF`);
    }
    const lower = name.toLowerCase();
    const values = headers.get(lower);
    if (values === undefined) headers.set(lower, [value.trim()]);
    else values.push(value.trim());
  }
  return headers;
}

function unavailable(description: string): KvError {
  return new KvError("unavailable", description);
}

function inDoubt(subject: string): KvError {
  return new KvError("in-doubt", `no answer from ${subject}`);
}
