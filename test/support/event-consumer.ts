/**
 * Event consumer: keeps records up to date by the events alone, and checks that none is missing and
 * none comes twice.
 */
import type { StoredEvent } from "../../infra/events.js";
import { type ContentType, contentTypes } from "../../protocol/operation.js";

export interface Rebuilt {
  readonly revision: number;
  readonly contentType: ContentType;
  readonly value: string;
  readonly updatedAt: string | undefined;
  readonly expiresAt: string | undefined;
}

export class EventConsumer {
  readonly records = new Map<string, Rebuilt>();
  readonly resets: { readonly position: number; readonly revision: number }[] = [];
  readonly #revisions = new Map<number, number>();
  eventCount = 0;

  /** Throws if a revision is missing or comes again. Markers are passed over. */
  take({ subject, headers, data }: StoredEvent): void {
    const [, kind, op] = subject.split(".");
    if (kind !== "event") return;
    this.eventCount += 1;
    const text = (name: string): string | undefined => headers?.get(name)?.[0];
    const position = Number(text("kv-position"));
    const revision = Number(text("kv-revision"));
    const last = this.#revisions.get(position) ?? 0;
    this.#revisions.set(position, revision);
    if (op === "reset") {
      this.resets.push({ position, revision });
      return;
    }
    if (revision !== last + 1) throw new Error(`${position}: revision ${revision} after ${last}`);
    const key = decodeURIComponent(text("kv-key") ?? "");
    if (op !== "set") {
      if (!this.records.delete(key)) throw new Error(`${op} of ${key}, which is not there`);
      return;
    }
    const contentType = contentTypes.find((each) => each === text("content-type"));
    if (contentType === undefined) throw new Error(`content type ${text("content-type")}`);
    const value = Buffer.from(data).toString("base64");
    const times = { updatedAt: text("kv-updated-at"), expiresAt: text("kv-expires-at") };
    this.records.set(key, { revision, contentType, value, ...times });
  }

  takeAll(messages: readonly StoredEvent[]): this {
    for (const message of messages) this.take(message);
    return this;
  }
}
