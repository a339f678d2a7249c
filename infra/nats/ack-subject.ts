/**
 * The place of a JetStream message: its sequence in the stream, its number among the consumer's
 * deliveries, and the time when the stream took it. They stand in the subject that the message's
 * acknowledgement would go to. By tokens:
 *
 *   $JS.ACK.<stream>.<consumer>.<attempts>.<sequence>.<delivered>.<nanoseconds>.<pending>
 *   $JS.ACK.<domain>.<account>.<stream>.<consumer>.<attempts>.….<pending>[.<random>]
 */
import type { Sequence, TimeMs } from "../../protocol/ids.js";

export interface Place {
  readonly sequence: Sequence;
  /** A consumer numbers its deliveries 1, 2, 3, …: a number left out is a lost message. */
  readonly delivered: number;
  readonly time: TimeMs;
}

/** Undefined if the subject has neither form. Milliseconds are rounded down. */
export function parseAckSubject(subject: string): Place | undefined {
  const tokens = subject.split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined;
  const at = tokens.length === 9 ? 5 : 7;
  if (tokens.length !== 9 && tokens.length < 11) return undefined;
  const sequence = wholeOf(tokens[at]);
  const delivered = wholeOf(tokens[at + 1]);
  // Nanoseconds since 1970 exceed 2^53, so they are cut as text.
  const time = wholeOf(tokens[at + 2]?.slice(0, -6));
  if (sequence === undefined || delivered === undefined || time === undefined) return undefined;
  return { sequence: sequence as Sequence, delivered, time: time as TimeMs };
}

/** Digits only: Number by itself takes "", "-1" and "0x1" too. */
function wholeOf(digits = ""): number | undefined {
  const value = /^[0-9]+$/.test(digits) ? Number(digits) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}
