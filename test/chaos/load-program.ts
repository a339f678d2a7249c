/**
 * Load program: one of the processes that make the load of a chaos run. Its settings come as JSON
 * in its first argument. It says "ready" to its parent, and from time to time how many operations
 * on the hot keys were answered. It works until its parent says "stop", lets open requests end, and
 * writes its history to a file. It ends with its parent.
 */
import { connect as connectNats } from "nats";
import { connect, Session } from "../../infra/client/client.js";
import { seededChance } from "../support/manual-clock.js";
import { ClientAccess, PlainAccess, type Access } from "./access.js";
import { CLIENT_NAME } from "./faults.js";
import { HistoryFile, Recorder } from "./recorder.js";
import { hotWorker, probe, wideWorker, type Pace } from "./workers.js";

export interface LoadSettings {
  readonly url: string;
  readonly store: string;
  readonly seed: number;
  readonly file: string;
  /** This process's; each has a connection of its own, some hot workers and a wide one. */
  readonly clients: readonly string[];
  /** Of all processes. */
  readonly clientsAll: readonly string[];
  /** By shard the keys of its probe; none = no probes in this process. */
  readonly probes: Readonly<Record<string, readonly string[]>>;
  readonly pace: Pace;
}

/** How long a patient client tries: longer than any fault lasts. */
const PATIENT_MS = 30_000;
/** Gives up while the fault is there, and is left in doubt. */
const IMPATIENT_MS = 2_500;
const PROBE_TIMEOUT_MS = 10_000;
/** Of each client. */
const HOT_WORKERS = 2;
const TELL_MS = 500;

const settings = JSON.parse(process.argv[2] ?? "{}") as LoadSettings;
const stopping = new AbortController();
const file = new HistoryFile(settings.file);
const closing: (() => Promise<unknown>)[] = [];
const work: Promise<void>[] = [];

const onDisconnect = (): void => process.exit(1); // the parent is gone
process.once("disconnect", onDisconnect);
process.on("message", (message) => {
  if (message === "stop") stopping.abort();
});
// So that the run can continue until there is enough to show.
const telling = setInterval(() => process.send?.(file.hotAnswered), TELL_MS);

for (const [index, client] of settings.clients.entries()) await startClient(client, index);
for (const [shard, keys] of Object.entries(settings.probes)) await startProbe(shard, keys);
process.send?.("ready");

await new Promise((resolve) => stopping.signal.addEventListener("abort", resolve));
await Promise.all(work);
await file.close();
await Promise.all(closing.map((close) => close()));
clearInterval(telling);
process.off("disconnect", onDisconnect);
process.disconnect();

async function startClient(client: string, index: number): Promise<void> {
  const chance = seededChance(settings.seed * 1_000 + settings.clientsAll.indexOf(client));
  const access = await accessOf(client, index);
  const pace = settings.pace;
  const parts = (
    role: string,
  ): { recorder: Recorder; chance: typeof chance; stopping: AbortSignal } => ({
    recorder: new Recorder(role === "" ? client : `${client}-${role}`, access, file),
    chance,
    stopping: stopping.signal,
  });
  for (let worker = 1; worker <= HOT_WORKERS; worker += 1) {
    work.push(hotWorker(parts(`hot${worker}`), pace.hotMs));
  }
  work.push(wideWorker(parts(""), settings.clientsAll, pace.wideMs));
}

/**
 * Of ten clients, four speak plain NATS, of which two say each write twice and two are impatient;
 * so is one of the others.
 */
async function accessOf(client: string, index: number): Promise<Access> {
  const name = `${CLIENT_NAME} ${client}`;
  const kind = index % 5;
  const timeoutMs = kind === 4 || index % 10 === 2 ? IMPATIENT_MS : PATIENT_MS;
  const { url, store } = settings;
  if (kind >= 3) {
    const nats = await connectNats({
      servers: url,
      name,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
    });
    closing.push(() => nats.close());
    return new PlainAccess(nats, store, timeoutMs, kind === 3);
  }
  const db = await connect<unknown>({ servers: url, store, name });
  closing.push(() => db.close());
  return new ClientAccess(db, new Session(), timeoutMs);
}

async function startProbe(shard: string, keys: readonly string[]): Promise<void> {
  const { url, store, pace } = settings;
  const name = `${CLIENT_NAME} probe of ${shard}`;
  const db = await connect<unknown>({ servers: url, store, name });
  closing.push(() => db.close());
  const access = new ClientAccess(db, new Session(), PROBE_TIMEOUT_MS);
  const recorder = new Recorder(`probe-${shard}`, access, file);
  work.push(probe({ recorder, stopping: stopping.signal }, keys, pace.probeMs));
}
