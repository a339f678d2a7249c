/**
 * Rules: counts how often each rule of the log discipline (design.md, L1 to L9) applied in a run.
 *
 * It looks from outside: at the nodes' log lines, and at the logs and events at the end. A thousand
 * runs in which a rule never applied have not tested it.
 */
import type { StoredEvent } from "../../infra/events.js";
import type { LogMessage } from "../../infra/log.js";
import type { LogFields } from "../../infra/logger.js";
import type { Entry } from "../../protocol/log/entry.js";
import { Acceptance } from "../support/log-rules.js";
import { entryOf } from "./entry-of.js";

export const ruleNames = [
  "L1 another past stops a replica",
  "L2 a copy or a dead entry is passed over",
  "L2 a fence takes effect",
  "L3 a shorter log stops a replica",
  "L4 a request stands in the log again",
  "L5 what is no entry is passed over",
  "L6 a record expires by log time",
  "L7 a missing entry is fetched",
  "L8 a write meets a full log",
  "L8 a log begins after what a store has applied",
  "L9 a replica that lags stops serving",
  "L9 a replica serves again",
] as const;

export type RuleName = (typeof ruleNames)[number];

export class RuleCounts {
  readonly counts = new Map<RuleName, number>();
  /** Replicas that have stopped serving by rule L9 and may serve again. */
  readonly #away = new Set<string>();

  add(rule: RuleName, count = 1): void {
    if (count > 0) this.counts.set(rule, (this.counts.get(rule) ?? 0) + count);
  }

  /** A line of a node's log, about `replica`: another name each time its process starts. */
  onLine(replica: string, text: string, { reason }: LogFields): void {
    const why = typeof reason === "string" ? reason : "";
    switch (text) {
      case "the replica stops":
        if (/^log-(diverged|unknown)/.test(why)) this.add("L1 another past stops a replica");
        if (why.startsWith("log-shorter")) this.add("L3 a shorter log stops a replica");
        if (why.startsWith("log-trimmed")) {
          this.add("L8 a log begins after what a store has applied");
        }
        break;
      case "skipped a log message that is not a valid entry":
        this.add("L5 what is no entry is passed over");
        break;
      case "fetched an entry that was late":
        this.add("L7 a missing entry is fetched");
        break;
      case "the replica stops serving":
        if (why.startsWith("it lags")) this.add("L9 a replica that lags stops serving");
        if (/^(it lags|could not read the log's end)/.test(why)) this.#away.add(replica);
        break;
      case "the replica serves":
        if (this.#away.delete(replica)) this.add("L9 a replica serves again");
        break;
      // The replica that serves then is a different one.
      case "a replica failed; starting it again":
        this.#away.delete(replica);
        break;
      default:
    }
  }

  /** What the log itself shows. */
  onLog(entries: readonly LogMessage[]): void {
    const acceptance = new Acceptance();
    const requests = new Set<string>();
    for (const { data } of entries) {
      const entry = entryOf(data);
      if (entry === undefined) continue;
      if (!acceptance.accepts(entry)) {
        this.add("L2 a copy or a dead entry is passed over");
        continue;
      }
      if (entry.kind === "fence") this.add("L2 a fence takes effect");
      this.#countRepeats(requests, entry);
    }
  }

  /** What the events show. */
  onEvents(events: readonly StoredEvent[]): void {
    const expired = events.filter(({ subject }) => subject.startsWith("kv.event.expire."));
    this.add("L6 a record expires by log time", expired.length);
  }

  #countRepeats(requests: Set<string>, entry: Entry): void {
    if (entry.kind !== "operations") return;
    for (const { position, request } of entry.groups.flat()) {
      if (request === undefined) continue;
      const name = `${position} ${request.id} ${request.index}`;
      if (requests.has(name)) this.add("L4 a request stands in the log again");
      requests.add(name);
    }
  }
}
