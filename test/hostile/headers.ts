/**
 * Headers of hostile messages: known names with wrong values, given twice, in any case; blocks that
 * are too large, cut off, or no headers at all.
 *
 * Not among them is Nats-Trace-Dest: with it nats-server itself may keep a message from us.
 */
import { texts } from "./payloads.js";
import type { Random } from "./random.js";

const names = [
  "Kv-If-Revision",
  "Kv-TTL",
  "Kv-Request-Id",
  "Kv-Return",
  "Kv-Read",
  "Kv-Min-Revision",
  "Content-Type",
  "Accept",
];

const others = [
  "Kv-Bogus",
  "kv-",
  "X-Other",
  "Nats-Msg-Id",
  "Nats-TTL",
  "Nats-Expected-Last-Sequence",
  "Nats-Rollup",
  "Nats-Service-Error-Code",
  "__proto__",
  "constructor",
];

/** Values that some header takes. */
const values = [
  "0",
  "1",
  "5",
  "90",
  "1h30m",
  "never",
  "previous",
  "stale",
  "session",
  "linearizable",
  "application/json",
  "application/msgpack; charset=utf-8",
  "text/plain",
  "*/*",
  "01890a5d-ac96-774b-bcce-b302099a8057",
  "ffffffff-ffff-7fff-bfff-ffffffffffff",
  "281474976710656",
  "1e3",
  "-1",
];

/** Undefined = none. */
export function anyHeaders(random: Random): Buffer | undefined {
  const form = random.below(12);
  if (form < 5) return undefined;
  if (form === 5) return anyBlock(random);
  const count = 1 + random.below(form === 6 ? 40 : 3);
  let text = "NATS/1.0\r\n";
  for (let left = count; left > 0; left -= 1) {
    text += `${anyCase(random.pick(random.once(6) ? others : names), random)}:${anySpace(random)}`;
    text += `${random.once(3) ? lineOf(random.pick(texts)) : random.pick(values)}\r\n`;
  }
  if (random.once(30)) text += `Kv-Request-Id: ${"i".repeat(random.pick([128, 129, 60_000]))}\r\n`;
  return Buffer.from(`${text}\r\n`);
}

/** No well-formed headers. */
function anyBlock(random: Random): Buffer {
  switch (random.below(7)) {
    case 0:
      return Buffer.from("NATS/1.0\r\n\r\n");
    case 1:
      return Buffer.from("NATS/1.0 503\r\n\r\n");
    case 2:
      return Buffer.from("NATS/1.0 100 Idle Heartbeat\r\nKv-Read: stale\r\n\r\n");
    case 3:
      return Buffer.from("NATS/1.0\r\nno colon\r\n: no name\r\nKv-Read\r\n\r\n");
    case 4:
      return Buffer.from("HTTP/1.1 200 OK\r\nKv-TTL: 1");
    case 5:
      return Buffer.concat([Buffer.from("NATS/1.0\r\nKv-Request-Id: "), random.shortBytes(200)]);
    default:
      return Buffer.concat([Buffer.from("NATS/1.0"), random.shortBytes(400)]);
  }
}

function anyCase(name: string, random: Random): string {
  switch (random.below(4)) {
    case 0:
      return name.toLowerCase();
    case 1:
      return name.toUpperCase();
    default:
      return name;
  }
}

function anySpace(random: Random): string {
  return random.pick(["", " ", "  ", "\t"]);
}

function lineOf(text: string): string {
  return text.replace(/[\r\n]/g, "");
}
