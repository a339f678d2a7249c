/**
 * Recorder: sends a client's requests through its access, and writes a row of the history for each:
 * a JSON line in a file of the load process.
 *
 * Times are of the machine's own monotonic clock, which all processes share, in milliseconds.
 */
import { createWriteStream, type WriteStream } from "node:fs";
import { newRequestId } from "../../infra/client/request-ids.js";
import { POSITION_COUNT } from "../../protocol/limits.js";
import { positionOf } from "../../protocol/position.js";
import { Stopwatch, type HistoryRow, type StepOutcome } from "../history/history.js";
import {
  DoubledRequest,
  type Access,
  type Asked,
  type AskedQuery,
  type QueryKind,
  type StepsKind,
} from "./access.js";
import { isAnswer } from "./availability.js";
import { isHot } from "./keys.js";

/** The same for all processes of this machine. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const stopwatch = new Stopwatch(machineMs);

export class HistoryFile {
  readonly #stream: WriteStream;
  /** Operations on the hot keys that were answered. */
  hotAnswered = 0;

  constructor(path: string) {
    this.#stream = createWriteStream(path);
  }

  write(row: HistoryRow): void {
    for (const { key, outcome } of row.steps) {
      if (isHot(key) && isAnswer(outcome)) this.hotAnswered += 1;
    }
    this.#stream.write(`${JSON.stringify(row)}\n`);
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#stream.end(resolve));
  }
}

export class Recorder {
  #number = 0;

  constructor(
    readonly client: string,
    private readonly access: Access,
    private readonly file: Pick<HistoryFile, "write">,
  ) {}

  async one(step: Asked): Promise<StepOutcome> {
    const [outcome] = await this.many("single", [this.#inSession(step)]);
    return outcome as StepOutcome;
  }

  async many(kind: StepsKind, steps: readonly Asked[]): Promise<StepOutcome[]> {
    const requestId = newRequestId();
    const number = ++this.#number;
    const invokedAt = stopwatch.now();
    const outcomes = await this.access.perform(kind, steps, requestId).catch((error: unknown) => {
      if (!(error instanceof DoubledRequest)) throw error;
      return steps.map((): StepOutcome => ({ kind: "refused", error: error.message }));
    });
    const done = steps.map((step, index) => ({ ...step, outcome: outcomes[index] as StepOutcome }));
    const isAnswered = outcomes.some(({ kind: each }) => each !== "unknown");
    this.file.write({
      client: this.client,
      number,
      requestId,
      kind,
      steps: done,
      invokedAt,
      ...(isAnswered ? { returnedAt: stopwatch.now() } : {}),
    });
    return outcomes;
  }

  /** All pages. */
  async query(kind: QueryKind, asked: Omit<AskedQuery, "cursor">): Promise<void> {
    let cursor: string | undefined;
    let continues: string | undefined;
    do {
      const number = ++this.#number;
      const invokedAt = stopwatch.now();
      const page = cursor === undefined ? asked : { ...asked, cursor };
      const { cursor: next, ...outcome } = await this.access.query(kind, page);
      this.file.write({
        client: this.client,
        number,
        kind,
        steps: [],
        query: {
          ...asked,
          partial: false,
          ...(continues === undefined ? {} : { continues }),
          outcome,
        },
        invokedAt,
        returnedAt: stopwatch.now(),
      });
      cursor = next;
      continues = `${this.client}/${number}`;
    } while (cursor !== undefined);
  }

  /** A read of a session is to see what the session has seen: that is written down with it. */
  #inSession(step: Asked): Asked {
    const { session } = this.access;
    if (step.verb !== "get" || step.level !== "session" || session === undefined) return step;
    const minRevision = session.revisionMin(positionOf(step.key, POSITION_COUNT));
    return minRevision === 0 ? step : { ...step, minRevision };
  }
}
