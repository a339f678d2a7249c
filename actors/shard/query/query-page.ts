/**
 * Query page: decides where a scan stops, and which of its rows are the answer.
 *
 * A page ends at its limit of rows, its limit of bytes, or after PAGE_MS_MAX. It always names the
 * place up to which it is complete, so the next page begins strictly after it. To know whether a
 * page is the last, the scan looks for one match more than the limit.
 */
import { KvError } from "../../../protocol/errors.js";
import type { Revision } from "../../../protocol/ids.js";
import { COUNT_MS_MAX, PAGE_MS_MAX } from "../../../protocol/limits.js";
import type { Place } from "../../../protocol/query/cursor.js";
import type { FindRequest, FoundRow, KeysRequest } from "../../../protocol/query/messages.js";
import { compileSelect, type Selected } from "../../../protocol/value/select.js";
import { compareText } from "../../../protocol/value/typed-value.js";
import type { Found, Scan } from "./query-scan.js";
import type { Candidate } from "./query-sources.js";

export interface PagePart {
  readonly rows: readonly FoundRow[];
  readonly more: boolean;
  readonly reached: Place | undefined;
}

/** Bytes a row takes in messages beside its key, order and value. */
const ROW_BYTES = 32;

/** Rows of one page, within its limits. */
class PageRows {
  readonly rows: FoundRow[] = [];
  #bytes = 0;

  constructor(private readonly request: FindRequest | KeysRequest) {}

  /** False: the page is full without it. The first row always has room. */
  add(row: FoundRow): boolean {
    const valueBytes = row.value?.length ?? 0;
    // A key's text has at most as many UTF-8 bytes as this.
    const bytes = ROW_BYTES + row.order.length + row.key.length * 3 + valueBytes;
    const { limit, bytesMax } = this.request;
    if (this.rows.length >= limit) return false;
    if (this.rows.length > 0 && this.#bytes + bytes > bytesMax) return false;
    this.rows.push(row);
    this.#bytes += bytes;
    return true;
  }

  full(): PagePart {
    const { order, key } = this.rows.at(-1)!;
    return { rows: this.rows, more: true, reached: { order, key } };
  }

  upTo(reached: Place): PagePart {
    return { rows: this.rows, more: true, reached };
  }

  last(): PagePart {
    return { rows: this.rows, more: false, reached: undefined };
  }
}

/** A page of find. `isLate` turns true when the page has taken long enough. */
export async function findPage(
  scan: Scan,
  request: FindRequest,
  isLate: () => boolean,
): Promise<PagePart> {
  const page = new PageRows(request);
  const toRow = rowMaker(request);
  for (;;) {
    const candidates = await scan.next();
    if (candidates.length === 0) return page.last();
    for await (const found of scan.matches(candidates)) {
      if (!page.add(toRow(found))) return page.full();
    }
    if (isLate()) return page.upTo(placeOf(candidates.at(-1)!));
  }
}

/** A page of keys. `hasExpired`: rows may be of expired records, so the records are looked at. */
export async function keysPage(
  scan: Scan,
  request: KeysRequest,
  hasExpired: boolean,
  isLate: () => boolean,
): Promise<PagePart> {
  const page = new PageRows(request);
  for (;;) {
    const candidates = await scan.next();
    if (candidates.length === 0) return page.last();
    if (hasExpired) {
      for await (const found of scan.matches(candidates)) {
        if (!page.add(keyRow(found))) return page.full();
      }
    } else {
      for (const candidate of candidates) {
        if (!scan.isWanted(candidate)) continue;
        if (!page.add(keyRow(placeOf(candidate)))) return page.full();
      }
    }
    if (isLate()) return page.upTo(placeOf(candidates.at(-1)!));
  }
}

/** `byRows`: each wanted candidate is a match, no record need be read. */
export async function countMatches(
  scan: Scan,
  byRows: boolean,
  isLate: () => boolean,
): Promise<number> {
  let count = 0;
  for (;;) {
    const candidates = await scan.next();
    if (candidates.length === 0) return count;
    if (byRows) {
      for (const candidate of candidates) if (scan.isWanted(candidate)) count += 1;
    } else {
      for await (const _found of scan.matches(candidates)) count += 1;
    }
    if (isLate()) {
      throw new KvError(
        "limit-exceeded",
        `counting took more than ${COUNT_MS_MAX} ms; make the filter narrower`,
        { limit: "count_ms", max: COUNT_MS_MAX },
      );
    }
  }
}

/**
 * A page of find in the order of a condition whose path has no index: all records are looked at,
 * and those with the first places after the request's are kept.
 */
export async function sortedPage(
  scan: Scan,
  request: FindRequest,
  isLate: () => boolean,
): Promise<PagePart> {
  const toRow = rowMaker(request);
  let best: Found[] = [];
  let isCut = false;
  const keepBest = (): void => {
    best.sort(compareFound);
    isCut ||= best.length > request.limit;
    best = best.slice(0, request.limit);
  };
  for (;;) {
    const candidates = await scan.next();
    if (candidates.length === 0) break;
    for await (const found of scan.matches(candidates)) {
      if (request.after === undefined || compareFound(found, request.after) > 0) best.push(found);
    }
    keepBest();
    if (isLate()) {
      throw new KvError(
        "limit-exceeded",
        `the path to order by has no index, and a scan of all records took more than ` +
          `${PAGE_MS_MAX} ms; add an equality on an indexed path`,
        { limit: "page_ms", max: PAGE_MS_MAX },
      );
    }
  }
  const page = new PageRows(request);
  for (const found of best) if (!page.add(toRow(found))) return page.full();
  return isCut ? page.full() : page.last();
}

function compareFound(left: Place, right: Place): number {
  return Buffer.compare(left.order, right.order) || compareText(left.key, right.key);
}

function rowMaker(request: FindRequest): (found: Found) => FoundRow {
  const select = request.select && compileSelect(request.select);
  return ({ order, key, record }) => {
    const { revision } = record;
    let part: Selected = record;
    if (request.values && select !== undefined) part = select(record.value, record.contentType);
    const value = request.values ? part.value : undefined;
    return { order, key, revision, value, contentType: part.contentType };
  };
}

function keyRow({ order, key }: Place): FoundRow {
  const revision = 0 as Revision;
  return { order, key, revision, value: undefined, contentType: "application/json" };
}

function placeOf({ order, key }: Candidate): Place {
  return { order, key: Buffer.from(key).toString("utf8") };
}
