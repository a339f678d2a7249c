/**
 * Benchmark: Ringdex beside NATS KV, on the same nats-server, in one run.
 *
 * Both sides are driven from this process with IN_FLIGHT requests under way, with values of five
 * attributes (which Ringdex indexes and NATS KV does not), alternately, ROUNDS times; what counts
 * is the ratio of the medians: machines are noisy. Ringdex runs three nodes with two replicas
 * each, so on a small machine its own processes compete with the server and with this one.
 *
 *   make bench             all of it
 *   RINGDEX_BENCH_OPS      operations a round and side (20000)
 *   RINGDEX_NODES          nodes and shards (3)
 *   RINGDEX_REPLICAS       copies of each record (2)
 */
import { connect as connectNats, type KV, type NatsConnection } from "nats";
import { connect, type Ringdex } from "../../../infra/client/client.js";
import { startCluster } from "../../support/cluster.js";

const IN_FLIGHT = 256;
const ROUNDS = 3;
const OPERATIONS = Number(process.env["RINGDEX_BENCH_OPS"] ?? 20_000);
const NODES = Number(process.env["RINGDEX_NODES"] ?? 3);
const REPLICAS = Number(process.env["RINGDEX_REPLICAS"] ?? 2);
const FINDS = Math.ceil(OPERATIONS / 10);

interface City {
  readonly name: string;
  readonly country: string;
  readonly population: number;
  readonly lat: number;
  readonly group: number;
}

const cityOf = (index: number): City => ({
  name: `name${index}`,
  country: `c${index % 250}`,
  population: (index * 7_919) % 1_000_003,
  lat: (index % 180) - 90 + 0.5,
  group: index % Math.ceil(OPERATIONS / 10),
});

type Work = (index: number) => Promise<unknown>;

/** Operations a second. */
async function rate(count: number, work: Work): Promise<number> {
  let next = 0;
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await work(next - 1);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return count / ((performance.now() - startedAt) / 1_000);
}

interface Line {
  readonly name: string;
  readonly count: number;
  readonly ringdex: Work;
  readonly natsKv: Work | undefined;
}

function linesOf(db: Ringdex, bucket: KV): Line[] {
  const encoder = new TextEncoder();
  const bytesOf = (index: number): Uint8Array => encoder.encode(JSON.stringify(cityOf(index)));
  const keyOf = (index: number): string => `city.${index % OPERATIONS}`;
  return [
    {
      name: "set, 5 indexed attributes",
      count: OPERATIONS,
      ringdex: (index) => db.set(keyOf(index), cityOf(index)),
      natsKv: (index) => bucket.put(keyOf(index), bytesOf(index)),
    },
    {
      name: "get, linearizable",
      count: OPERATIONS,
      ringdex: (index) => db.get(keyOf(index)),
      natsKv: undefined,
    },
    {
      name: "get, stale",
      count: OPERATIONS,
      ringdex: (index) => db.get(keyOf(index), { read: "stale" }),
      natsKv: (index) => bucket.get(keyOf(index)),
    },
    {
      name: "find, 10 rows",
      count: FINDS,
      ringdex: async (index) => {
        const rows = await db.find({ group: index % FINDS }, { limit: 100 }).toArray();
        if (rows.length !== 10) throw new Error(`find gave ${rows.length} rows of 10`);
      },
      natsKv: undefined,
    },
    {
      name: "setMany, 500 at once",
      count: Math.ceil(OPERATIONS / 500),
      ringdex: (index) =>
        db.setMany(
          Array.from({ length: 500 }, (_, place) => {
            return { key: keyOf(index * 500 + place), value: cityOf(index * 500 + place) };
          }),
        ),
      natsKv: undefined,
    },
  ];
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? NaN;
}

async function main(): Promise<void> {
  const cluster = await startCluster({ nodes: NODES, replicas: REPLICAS });
  let nats: NatsConnection | undefined;
  let db: Ringdex | undefined;
  try {
    nats = await connectNats({ servers: cluster.url });
    db = await connect({ servers: cluster.url });
    const bucket = await nats.jetstream().views.kv("bench", { history: 1 });
    const server = nats.info?.version ?? "unknown";
    const size = `${NODES} nodes, ${REPLICAS} replicas`;
    console.log(`nats-server ${server}, ${size}, fsync on every entry`);
    console.log(`${IN_FLIGHT} in flight, ${ROUNDS} rounds, operations a second (median)\n`);
    console.log(`${"".padEnd(28)}${"Ringdex".padStart(10)}${"NATS KV".padStart(10)}  ratio`);
    for (const line of linesOf(db, bucket)) {
      const ringdex: number[] = [];
      const natsKv: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        ringdex.push(await rate(line.count, line.ringdex));
        if (line.natsKv !== undefined) natsKv.push(await rate(line.count, line.natsKv));
      }
      const factor = line.name.startsWith("setMany") ? 500 : 1;
      const ours = median(ringdex) * factor;
      const theirs = natsKv.length === 0 ? undefined : median(natsKv);
      const other = theirs === undefined ? "—" : Math.round(theirs).toLocaleString("en");
      const ratio = theirs === undefined ? "" : `${(ours / theirs).toFixed(2)} ×`;
      const own = Math.round(ours).toLocaleString("en");
      console.log(`${line.name.padEnd(28)}${own.padStart(10)}${other.padStart(10)}  ${ratio}`);
    }
  } finally {
    await db?.close();
    await nats?.close();
    await cluster.stop();
  }
}

await main();
