/**
 * A campaign of hostile messages against a running cluster, and what must hold during and after:
 * every request that asks for an answer gets one, of the right form, and no second; nothing of the
 * cluster ends; nothing is written where a reply pointed; its memory stays bounded; and what is
 * valid is answered right.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { connect, type NatsConnection } from "nats";
import { dataPaths } from "../../infra/main/data-folder.js";
import { parseRing, type RingJson } from "../../protocol/ring.js";
import { Names } from "../../protocol/subjects.js";
import type { Cluster } from "../support/cluster.js";
import { equalReplicas, relaysDone } from "../support/equal-replicas.js";
import { until } from "../support/until.js";
import {
  kinds,
  LOOP_PREFIX,
  messageAt,
  PURGE_KEY,
  toBase64,
  VICTIM_STREAM,
  type HostileMessage,
  type Kind,
  type Target,
} from "./messages.js";
import { RawNats, type RawMessage } from "./raw-nats.js";
import { isUnheard, judge, type Verdict } from "./replies.js";

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
  /** Resident bytes of all nodes together. */
  readonly memoryBefore: number;
  readonly memoryAfter: number;
}

/** Sent at once; then all answers are waited for. */
const ROUND_MESSAGES = 250;
const ANSWER_LIMIT_MS = 20_000;
const UNHEARD_AGAIN_MS = 100;
/** What nodes may have grown by, each. A node's caches and heap fill up in the first minutes. */
const MEMORY_GROWTH_MAX = 512 * 1_024 ** 2;

/** The relay's messages to one another are heard by all and answered by none. */
function wantsAnswer({ kind, verb, replyTo }: HostileMessage): boolean {
  return replyTo === "us" && !(kind === "relay" && verb === "relay-alive");
}

export class Campaign {
  readonly #counts = new Map<Kind, Map<Verdict | "sent", number>>();
  readonly #waiting = new Map<string, HostileMessage>();
  readonly #inbox: string;
  #raw: RawNats | undefined;
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
      const target = await targetOf(cluster, nats);
      const manager = await nats.jetstreamManager();
      await manager.streams.add({ name: VICTIM_STREAM, subjects: [`${VICTIM_STREAM}.>`] });
      await nats.jetstream().publish(`${VICTIM_STREAM}.kept`);
      await nats.request(`${cluster.store}.set.${PURGE_KEY}`, "{}", { timeout: ANSWER_LIMIT_MS });
      const pids = await pidsOf(cluster);
      const memoryBefore = residentBytes(pids);
      await this.#sendAll(target);
      await this.#checkValid(nats);
      await this.#checkAfter(nats, pids);
      const memoryAfter = residentBytes(pids);
      const growth = memoryAfter - memoryBefore;
      if (growth > MEMORY_GROWTH_MAX * pids.length) {
        throw new Error(`the nodes' memory grew by ${growth} bytes; ${this.#seedText}`);
      }
      await manager.streams.delete(VICTIM_STREAM);
      await nats.close();
      await this.#checkRestart();
      return { counts: this.#counts, memoryBefore, memoryAfter };
    } finally {
      await nats.close();
    }
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
    if (wantsAnswer(message)) this.#waiting.set(ours, message);
    this.#publish(message, ours);
  }

  #publish(message: HostileMessage, ours: string): void {
    const reply = message.replyTo === "us" ? Buffer.from(ours) : message.reply;
    this.#raw?.publish({ ...message, reply });
  }

  #take(reply: RawMessage): void {
    const message = this.#waiting.get(reply.subject);
    this.#waiting.delete(reply.subject);
    if (message === undefined) {
      this.#fault ??= new Error(`a second answer on ${reply.subject}; ${this.#seedText}`);
      return;
    }
    if (isUnheard(reply) && !message.mayBeUnheard) {
      // A replica that does not know its log's end for a second does not serve for a moment: every
      // client sends again then.
      this.#waiting.set(reply.subject, message);
      setTimeout(() => this.#publish(message, reply.subject), UNHEARD_AGAIN_MS);
      return;
    }
    try {
      this.#note(message.kind, judge(message, reply));
    } catch (cause) {
      const text = `${String(cause)}: ${reply.data.toString().slice(0, 300)}`;
      this.#fault ??= this.#failure(text, message);
    }
  }

  async #answered(): Promise<void> {
    const isDone = (): boolean => this.#fault !== undefined || this.#waiting.size === 0;
    await until(isDone, ANSWER_LIMIT_MS).catch(() => undefined);
    if (this.#fault !== undefined) throw this.#fault;
    for (const message of this.#waiting.values()) {
      throw this.#failure(`no answer within ${ANSWER_LIMIT_MS} ms`, message);
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

  async #checkAfter(nats: NatsConnection, pids: readonly number[]): Promise<void> {
    const { cluster } = this;
    const { replicas } = await equalReplicas(cluster);
    const idle = replicas.filter(({ state }) => state !== "serving");
    if (idle.length > 0) throw new Error(`${JSON.stringify(idle)}; ${this.#seedText}`);
    await relaysDone(cluster);
    const now = await pidsOf(cluster);
    if (now.join() !== pids.join()) throw new Error(`a node ended; ${this.#seedText}`);
    await nats.flush();
    const bad = faultsLogged(cluster);
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

async function targetOf(cluster: Cluster, nats: NatsConnection): Promise<Target> {
  const names = new Names(cluster.store);
  const reply = await nats.request(names.verb("ring"), "", { timeout: ANSWER_LIMIT_MS });
  const json = reply.json<RingJson & { type?: string }>();
  delete json.type;
  const ring = parseRing(json);
  return {
    names,
    positionCount: ring.positionCount,
    shards: ring.shards.map(({ shard, logId }) => {
      return { shard, logSubject: names.log(shard, logId) };
    }),
    nodes: ring.nodes.map(({ node }) => node),
    ring: Buffer.from(JSON.stringify(json)),
  };
}

async function pidsOf(cluster: Cluster): Promise<number[]> {
  const { nodes } = await cluster.status();
  return Promise.all(nodes.map(({ node }) => cluster.nodePid(node)));
}

function residentBytes(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    kib += Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  }
  return kib * 1_024;
}

/** Lines of the nodes' logs that say that something else than a sender went wrong. */
function faultsLogged(cluster: Cluster): string[] {
  const lines: string[] = [];
  const nodes = dirname(dataPaths(cluster.dataFolder).node("n1"));
  for (const node of readdirSync(nodes)) {
    lines.push(...readFileSync(join(nodes, node, "node.log"), "utf8").split("\n"));
  }
  return lines.filter((line) => {
    if (line.includes('"status":"disconnected"')) return true;
    return line.includes('"level":"error"') && !expected.some((text) => line.includes(text));
  });
}

/** Errors that a person is to look at, and that garbage in a log or in the bucket is to make. */
const expected = [
  "something that is no entry stands in the log and is passed over",
  "watching the ring failed",
  "a ring of another store or size stands in the bucket",
];
