/**
 * Times to live, durations and times as text.
 *
 * The grammar is that of JetStream's Nats-TTL header: whole seconds (`90`), a duration of Go's
 * time.ParseDuration (`1h30m`, `1.5s`; units ns us µs ms s m h), or `never` in any case. Ours
 * keeps milliseconds; what a duration has beyond them is dropped.
 *
 * Source: parseMessageTTL of nats-server, ParseDuration of Go.
 */
import { KvError } from "../errors.js";
import type { TimeMs } from "../ids.js";
import { TTL_MAX_MS, TTL_MIN_MS } from "../limits.js";

/** Longer texts are refused unread: the arithmetic below is on as many digits as there are. */
const TEXT_LENGTH_MAX = 64;

const nanosecondsPer: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  // The micro sign and the Greek letter: Go takes both.
  "\u00b5s": 1_000n,
  "\u03bcs": 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const NANOSECONDS_PER_MS = 1_000_000n;
const wholeDuration = /^\+?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/;
const durationPart = /(\d*)\.?(\d*)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g;

const MS_PER_DAY = 86_400_000;

/**
 * Days and weeks as milliseconds, as the client and the command line take them (`1d12h`, `2w`); the
 * wire's grammar, which is NATS's, lacks them.
 */
export function withoutDays(duration: string): string {
  return duration.replace(/(\d+\.?\d*|\.\d+)([dw])/g, (_, count: string, unit: string) => {
    return `${Math.round(Number(count) * MS_PER_DAY * (unit === "w" ? 7 : 1))}ms`;
  });
}

/** Milliseconds from TTL_MIN_MS to TTL_MAX_MS, or `never`; KvError `bad-request` for all else. */
export function parseTtl(text: string): number | "never" {
  if (text.toLowerCase() === "never") return "never";
  const ms = text.length > TEXT_LENGTH_MAX ? undefined : parseMs(text);
  if (ms === undefined) {
    const shown = JSON.stringify(text.slice(0, TEXT_LENGTH_MAX));
    const forms = 'whole seconds ("90"), a duration ("1h30m", "1.5s") or "never"';
    throw new KvError("bad-request", `ttl: ${forms}; received ${shown}`);
  }
  if (ms < TTL_MIN_MS || ms > TTL_MAX_MS) {
    const [min, max] = [formatDuration(TTL_MIN_MS), formatDuration(TTL_MAX_MS)];
    throw new KvError(
      "bad-request",
      `ttl: at least ${min} and at most ${max}, or "never"; received ${JSON.stringify(text)}`,
      { limit: "ttl", min: TTL_MIN_MS, max: TTL_MAX_MS },
    );
  }
  return Number(ms);
}

function parseMs(text: string): bigint | undefined {
  if (/^\d+$/.test(text)) return BigInt(text) * 1_000n;
  if (!wholeDuration.test(text)) return undefined;
  let nanoseconds = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of text.matchAll(durationPart)) {
    const scale = nanosecondsPer[unit]!;
    const digits = BigInt(whole + fraction);
    nanoseconds += (digits * scale) / 10n ** BigInt(fraction.length);
  }
  return nanoseconds / NANOSECONDS_PER_MS;
}

/** A duration that parseTtl reads as the same number of milliseconds: `1h30m`, `1.5s`, `0s`. */
export function formatDuration(ms: number): string {
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = (ms % 60_000) / 1_000;
  let text = "";
  if (hours > 0) text += `${hours}h`;
  if (minutes > 0) text += `${minutes}m`;
  if (seconds > 0 || text === "") text += `${seconds}s`;
  return text;
}

/** RFC 3339 in UTC, with milliseconds. */
export function formatTime(time: TimeMs): string {
  return new Date(time).toISOString();
}
