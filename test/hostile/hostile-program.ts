/**
 * `make hostile`: COUNT hostile messages (default 100,000) against a cluster with the subject
 * mapping and one without it, half each; then a table of what came back.
 *
 * SEED makes the same messages again. A failure prints REPLAY=…, which sends that one message.
 */
import { displayWidth } from "../../infra/cli/table.js";
import { startCluster } from "../support/cluster.js";
import { SERVER_NAME } from "../support/watch-memory.js";
import {
  Campaign,
  NODE_GROWTH_BYTES_MAX,
  SERVER_GROWTH_BYTES_MAX,
  type CampaignReport,
} from "./campaign.js";
import { fromBase64, kinds } from "./messages.js";

const COUNT_DEFAULT = 100_000;
const MEBIBYTE = 1_024 ** 2;

const { COUNT, SEED, REPLAY } = process.env;
const seed = Number(SEED ?? Math.floor(Math.random() * 2 ** 31));
const count = Math.ceil(Number(COUNT ?? COUNT_DEFAULT) / 2);
const replay = REPLAY === undefined || REPLAY === "" ? undefined : [fromBase64(REPLAY)];

for (const mapping of [true, false]) {
  const name = mapping ? "with the mapping" : "without the mapping";
  write(`${count} messages, ${name}; SEED=${seed}\n`);
  const cluster = await startCluster({ mapping });
  try {
    const progress = (sent: number): void => {
      if (sent % 5_000 === 0) write(`  ${sent} answered\n`);
    };
    const options = { seed: mapping ? seed : seed + 1, count, progress };
    const campaign = new Campaign(cluster, replay === undefined ? options : { ...options, replay });
    show(await campaign.run());
  } finally {
    await cluster.stop();
  }
}

function show({ counts, memory, newerAlarms }: CampaignReport): void {
  const heads = ["sent to", "messages", "answers"];
  const rows = kinds.map((kind) => {
    const { sent = 0, ...answers } = Object.fromEntries(counts.get(kind) ?? []);
    const sorted = Object.entries(answers).toSorted(([, a], [, b]) => b - a);
    return [kind, String(sent), sorted.map(([name, times]) => `${name} ${times}`).join(", ")];
  });
  const widths = heads.map((_, column) =>
    Math.max(...[heads, ...rows].map((row) => displayWidth(row[column] ?? ""))),
  );
  for (const row of [heads, ...rows]) {
    const [kind = "", sent = "", answers = ""] = row;
    write(`  ${kind.padEnd(widths[0] ?? 0)}  ${sent.padStart(widths[1] ?? 0)}  ${answers}\n`);
  }
  for (const { name, peak, growth } of memory) {
    const bytesMax = name === SERVER_NAME ? SERVER_GROWTH_BYTES_MAX : NODE_GROWTH_BYTES_MAX;
    const [most, more, bound] = [peak, growth, bytesMax].map((each) => Math.round(each / MEBIBYTE));
    write(`  memory of ${name}: ${most} MiB at most, grown by ${more} MiB (bound ${bound})\n`);
  }
  write(`  alarms for entries above their log's version: ${newerAlarms}\n\n`);
}

function write(text: string): void {
  process.stdout.write(text);
}
