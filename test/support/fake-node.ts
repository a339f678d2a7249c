/**
 * A node without a store, for tests of the supervisor: it behaves as the supervisor expects of a
 * node, and writes what happens to events.log in its data folder.
 *
 * FAKE_NODE_REFUSES=<name>: that node refuses to run. FAKE_NODE_SILENT=<name>: never ready.
 * FAKE_NODE_THROWS=<name>: throws when it has served for a moment, the first time.
 */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readServerInfo } from "../../infra/nats-server/nats-server.js";

const { values } = parseArgs({
  strict: false,
  argumentList: process.argv.slice(2),
  options: { name: { type: "string" }, data: { type: "string" }, "nats-url": { type: "string" } },
});
const name = String(values["name"]);
const eventsFile = join(String(values["data"]), "events.log");
const url = new URL(String(values["nats-url"]));

function note(event: string): void {
  appendFileSync(eventsFile, `${event} ${process.pid}\n`);
}

async function end(why: string): Promise<void> {
  const isServed = await readServerInfo(url.hostname, Number(url.port)).then(
    () => true,
    () => false,
  );
  note(`${why} ${isServed ? "server-up" : "server-down"}`);
  process.exit(0);
}

if (process.env["FAKE_NODE_REFUSES"] === name) {
  process.stderr.write("this folder belongs to another node\n");
  process.exit(2);
}
process.on("SIGTERM", () => void end("SIGTERM"));
process.on("SIGINT", () => note("SIGINT"));
process.stdin.on("end", () => void end("stdin-closed")).resume();
note("started");
const isFirst = readFileSync(eventsFile, "utf8").trimEnd().split("\n").length === 1;
if (process.env["FAKE_NODE_THROWS"] === name && isFirst) {
  setImmediate(() => {
    throw new Error("out of ideas");
  });
}
if (process.env["FAKE_NODE_SILENT"] !== name) {
  process.stdout.write("noise\n");
  const line = JSON.stringify({ ready: true, node: name }) + "\n";
  process.stdout.write(line + line);
}
