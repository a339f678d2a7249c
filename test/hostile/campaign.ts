/**
 * A campaign of hostile messages against a running cluster, and what must hold during and after:
 * every request that asks for an answer gets one, of the right form, and no second; nothing of the
 * cluster ends; nothing is written where a reply pointed; its memory stays bounded; and what is
 * valid is answered right.
 */
import { connect, type NatsConnection } from "nats";
import type { Cluster } from "../support/cluster.js";
import { equalReplicas, relaysDone } from "../support/equal-replicas.js";
import { until } from "../support/until.js";
import {
  processesOf,
  SERVER_NAME,
  watchMemory,
  type Grown,
  type MemoryWatch,
} from "../support/watch-memory.js";
import { faultsLogged, NewerEntries, storesMoved } from "./aftermath.js";
import {
  kinds,
  LOOP_PREFIX,
  messageAt,
  PURGE_KEY,
  toBase64,
  VICTIM_STREAM,
  type HostileMessage,
  type Kind,
} from "./messages.js";
import { RawNats, type RawMessage } from "./raw-nats.js";
import { isUnheard, judge, type Verdict } from "./replies.js";
import { targetOf, type Target } from "./target.js";

export interface CampaignOptions {
  readonly seed: number;
  readonly count: number;
  /** Sent instead of those that the seed gives. */
  readonly replay?: readonly HostileMessage[];
  /** Told after each round how many have been sent. */
  readonly progress?: (sent: number) => void;
}

export interface CampaignReport {
  /** By kind: how many were sent, and how often each answer came. */
  readonly counts: ReadonlyMap<Kind, ReadonlyMap<Verdict | "sent", number>>;
  /** Of each node and nats-server. */
  readonly memory: readonly Grown[];
  /** Alarms for entries above their log's version, all of which were heard. */
  readonly newerAlarms: number;
}

/** Sent at once; then all answers are waited for. */
const ROUND_MESSAGES = 250;
const ANSWER_LIMIT_MS = 20_000;
const UNHEARD_AGAIN_MS = 100;
/** How much a node may grow, at any moment. Its caches and heap fill up in the first minutes. */
export const NODE_GROWTH_BYTES_MAX = 512 * 1_024 ** 2;
/** The same for nats-server, which keeps the newest blocks of each stream in memory. */
export const SERVER_GROWTH_BYTES_MAX = 512 * 1_024 ** 2;

interface Waiting {
  readonly message: HostileMessage;
  /** How many answers are still to come. */
  left: number;
}

export class Campaign {
  readonly #counts = new Map<Kind, Map<Verdict | "sent", number>>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #inbox: string;
  #raw: RawNats | undefined;
  #newer: NewerEntries | undefined;
  #fault: Error | undefined;

  constructor(
    private readonly cluster: Cluster,
    private readonly options: CampaignOptions,
  ) {
    this.#inbox = `_INBOX.hostile${options.seed}`;
    for (const kind of kinds) this.#counts.set(kind, new Map());
  }

  /** Rejects with an Error that has the seed and the message. */
  async run(): Promise<CampaignReport> {
    const { cluster } = this;
    const nats = await connect({ servers: cluster.url });
    try {
      const target = await targetOf(cluster.store, nats);
      this.#newer = new NewerEntries(target);
      const manager = await nats.jetstreamManager();
      await manager.streams.add({ name: VICTIM_STREAM, subjects: [`${VICTIM_STREAM}.>`] });
      await nats.jetstream().publish(`${VICTIM_STREAM}.kept`);
      await nats.request(`${cluster.store}.set.${PURGE_KEY}`, "{}", { timeout: ANSWER_LIMIT_MS });
      const pids = await processesOf(cluster);
      const watch = watchMemory(pids);
      const memory = await this.#attack(nats, target, watch);
      await this.#checkAfter(nats, pids, target);
      await manager.streams.delete(VICTIM_STREAM);
      await nats.close();
      await this.#checkRestart();
      return { counts: this.#counts, memory, newerAlarms: this.#newer.count };
    } finally {
      await nats.close();
    }
  }

  async #attack(
    nats: NatsConnection,
    target: Target,
    watch: MemoryWatch,
  ): Promise<readonly Grown[]> {
    let memory: readonly Grown[] = [];
    try {
      await this.#sendAll(target);
      await this.#checkValid(nats);
    } finally {
      memory = watch.stop();
    }
    for (const { name, growth } of memory) {
      const most = name === SERVER_NAME ? SERVER_GROWTH_BYTES_MAX : NODE_GROWTH_BYTES_MAX;
      if (growth > most) throw new Error(`${name} grew by ${growth} bytes; ${this.#seedText}`);
    }
    return memory;
  }

  async #sendAll(target: Target): Promise<void> {
    const { seed, count, replay, progress } = this.options;
    await this.#open();
    const total = replay?.length ?? count;
    for (let start = 0; start < total; start += ROUND_MESSAGES) {
      const end = Math.min(total, start + ROUND_MESSAGES);
      for (let index = start; index < end; index += 1) {
        const message = replay?.[index] ?? messageAt(seed, index, target);
        this.#send(message, index);
      }
      await this.#flush();
      await this.#answered();
      progress?.(end);
    }
    // A second answer may come after the first.
    await this.#flush();
    if (this.#fault !== undefined) throw this.#fault;
    this.#raw?.close();
  }

  async #open(): Promise<void> {
    const inbox = `${this.#inbox}.*`;
    this.#raw = await RawNats.open(this.cluster.url, [inbox], (reply) => this.#take(reply));
  }

  async #flush(): Promise<void> {
    await this.#raw?.flush();
    if (this.#raw?.isClosed !== true) return;
    throw new Error(`the server has closed: ${this.#raw.errors.join()}; ${this.#seedText}`);
  }

  #send(message: HostileMessage, index: number): void {
    this.#note(message.kind, "sent");
    const ours = `${this.#inbox}.${index}`;
    const { replyTo, answers } = message;
    if (replyTo === "us" && answers > 0) this.#waiting.set(ours, { message, left: answers });
    this.#publish(message, ours);
  }

  #publish(message: HostileMessage, ours: string): void {
    const reply = message.replyTo === "us" ? Buffer.from(ours) : message.reply;
    this.#raw?.publish({ ...message, reply });
  }

  #take(reply: RawMessage): void {
    const waiting = this.#waiting.get(reply.subject);
    if (waiting === undefined) {
      this.#fault ??= new Error(`a second answer on ${reply.subject}; ${this.#seedText}`);
      return;
    }
    const { message } = waiting;
    if (isUnheard(reply) && !message.mayBeUnheard) {
      // A replica that does not know its log's end for a second does not serve for a moment: every
      // client sends again then.
      setTimeout(() => this.#publish(message, reply.subject), UNHEARD_AGAIN_MS);
      return;
    }
    waiting.left -= 1;
    if (waiting.left === 0) this.#waiting.delete(reply.subject);
    try {
      const verdict = judge(message, reply);
      this.#note(message.kind, verdict);
      if (message.kind === "log" && verdict === "stored") {
        this.#newer?.add(message.subject.toString(), message.data);
      }
    } catch (cause) {
      const text = `${String(cause)}: ${reply.data.toString().slice(0, 300)}`;
      this.#fault ??= this.#failure(text, message);
    }
  }

  async #answered(): Promise<void> {
    const isDone = (): boolean => this.#fault !== undefined || this.#waiting.size === 0;
    await until(isDone, ANSWER_LIMIT_MS).catch(() => undefined);
    if (this.#fault !== undefined) throw this.#fault;
    for (const { message, left } of this.#waiting.values()) {
      const text = `${left} of ${message.answers} answers did not come in ${ANSWER_LIMIT_MS} ms`;
      throw this.#failure(text, message);
    }
  }

  async #checkValid(nats: NatsConnection): Promise<void> {
    const { store } = this.cluster;
    const ask = (verb: string, body = ""): Promise<{ data: Uint8Array }> =>
      nats.request(`${store}.${verb}`, body, { timeout: ANSWER_LIMIT_MS });
    const value = JSON.stringify({ valid: this.options.seed });
    await ask("set.valid", value);
    const read = Buffer.from((await ask("get.valid")).data).toString();
    const count = Buffer.from((await ask("count", `{"where":${value}}`)).data).toString();
    if (read !== value || !count.includes('"count":1,')) {
      throw new Error(`a valid request is answered ${read}, ${count}; ${this.#seedText}`);
    }
    const looped = await ask("keys", `{"prefix":"${LOOP_PREFIX}"}`);
    if (!Buffer.from(looped.data).toString().includes('"keys":[]')) {
      throw new Error(`a reply was taken for a request; ${this.#seedText}`);
    }
    const victim = await (await nats.jetstreamManager()).streams.info(VICTIM_STREAM);
    if (victim.state.messages !== 1) throw new Error(`a reply reached $JS.API; ${this.#seedText}`);
  }

  async #checkAfter(
    nats: NatsConnection,
    pids: ReadonlyMap<string, number>,
    before: Target,
  ): Promise<void> {
    const { cluster } = this;
    const { replicas } = await equalReplicas(cluster);
    const idle = replicas.filter(({ state }) => state !== "serving");
    if (idle.length > 0) throw new Error(`${JSON.stringify(idle)}; ${this.#seedText}`);
    await relaysDone(cluster);
    const now = await processesOf(cluster);
    for (const [name, pid] of pids) {
      if (now.get(name) !== pid) throw new Error(`${name} has ended; ${this.#seedText}`);
    }
    const { shards } = await targetOf(cluster.store, nats);
    if (JSON.stringify(shards) !== JSON.stringify(before.shards)) {
      throw new Error(`shards have other logs, or something to repair; ${this.#seedText}`);
    }
    const bad = [
      ...faultsLogged(cluster),
      ...storesMoved(cluster),
      ...(this.#newer?.problems(cluster) ?? []),
    ];
    if (bad.length > 0) throw new Error(`${bad.slice(0, 3).join("\n")}\n${this.#seedText}`);
  }

  /** What stands in the logs and in the ring's bucket by now is read by whoever starts. */
  async #checkRestart(): Promise<void> {
    const { cluster } = this;
    await cluster.down();
    await cluster.up();
    const { replicas } = await equalReplicas(cluster);
    const idle = replicas.filter(({ state }) => state !== "serving");
    if (idle.length > 0) throw new Error(`${JSON.stringify(idle)}; ${this.#seedText}`);
  }

  #failure(text: string, message: HostileMessage): Error {
    const subject = JSON.stringify(message.subject.toString("latin1").slice(0, 200));
    const line = `REPLAY=${toBase64(message)}`;
    return new Error(`${message.kind}, ${subject}: ${text}\n${this.#seedText}\n${line}`);
  }

  get #seedText(): string {
    return `SEED=${this.options.seed} COUNT=${this.options.count}`;
  }

  #note(kind: Kind, what: Verdict | "sent"): void {
    const counts = this.#counts.get(kind);
    counts?.set(what, (counts.get(what) ?? 0) + 1);
  }
}
