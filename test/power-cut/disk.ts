/**
 * Disk: what a folder held, and what of it a power cut would have left, worked out from the system
 * calls that were made on it.
 *
 * The model. It is harsher than ext4 or XFS with their defaults, and what it lets survive, they do:
 *   1. A file's bytes survive if a sync of that file began after they were written and came back
 *      before the cut. O_SYNC and O_DSYNC make each write a sync of its own.
 *   2. A sync of a file or folder makes it reachable too: its own name and those of the folders
 *      above. POSIX does not promise that; ext4, XFS and btrfs do it, and nats-server, which never
 *      syncs the folder of a new block, relies on it.
 *   3. All other names (renamed, removed, linked) survive by a sync of their folder only. Real file
 *      systems write their journal in order: with them any sync makes earlier names durable.
 *   4. What was not synced may be there nevertheless: the system writes when it likes. So there is
 *      not one picture after the cut but many. Three are made (`Loss`):
 *        synced  only what has to be there
 *        named   all names as they were, files with their synced bytes only: those never synced
 *                are empty, as after a rename whose data were not written in time
 *        torn    of names not durable the first so many, and of each file's bytes not synced the
 *                first so many, by chance
 *
 * Descriptors are told apart by their number and the file they stand for: one process at a time
 * writes to a disk. Paths are relative to the disk's root; what lies elsewhere is no concern of it.
 */
import { dirname } from "node:path/posix";
import type { SeededChance } from "../support/manual-clock.js";

export type Loss = "synced" | "named" | "torn";
export const losses: readonly Loss[] = ["synced", "named", "torn"];

/** What a call did to a disk. `beganAt`, `endedAt`: numbers that grow with time. */
export type DiskChange =
  | {
      readonly kind: "open";
      readonly path: string;
      readonly fd: number;
      readonly creates: boolean;
      readonly truncates: boolean;
      readonly appends: boolean;
      readonly syncs: boolean;
    }
  /** `offset` undefined = where the descriptor stands. */
  | {
      readonly kind: "write";
      readonly path: string;
      readonly fd: number;
      readonly offset: number | undefined;
      readonly data: Buffer;
    }
  | { readonly kind: "seek"; readonly path: string; readonly fd: number; readonly offset: number }
  | { readonly kind: "resize"; readonly path: string; readonly length: number }
  | { readonly kind: "sync"; readonly path: string; readonly beganAt: number }
  | { readonly kind: "folder"; readonly path: string }
  | { readonly kind: "remove"; readonly path: string }
  | { readonly kind: "rename" | "link"; readonly path: string; readonly to: string };

/** What is on a disk: contents by path, and folders. */
export interface Image {
  readonly files: Map<string, Buffer>;
  readonly folders: Set<string>;
}

type Edit = { readonly at: number } & (
  { readonly offset: number; readonly data: Buffer } | { readonly length: number }
);

/** Bytes that grow in place: a log is synced thousands of times, and copied once. */
class Bytes {
  constructor(
    private buffer: Buffer,
    private length = buffer.length,
  ) {}

  apply(edit: Edit): void {
    if ("length" in edit) return this.#resize(edit.length);
    const end = edit.offset + edit.data.length;
    if (end > this.length) this.#resize(end);
    edit.data.copy(this.buffer, edit.offset);
  }

  copy(): Bytes {
    return new Bytes(Buffer.from(this.view()));
  }

  view(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  /** What is beyond the old end is zero. */
  #resize(length: number): void {
    if (length > this.buffer.length) {
      const larger = Buffer.alloc(Math.max(length, this.buffer.length * 2));
      this.view().copy(larger);
      this.buffer = larger;
    } else if (length > this.length) this.buffer.fill(0, this.length, length);
    this.length = length;
  }
}

interface Descriptor {
  position: number;
  readonly appends: boolean;
  readonly syncs: boolean;
}

class File {
  readonly descriptors = new Map<number, Descriptor>();
  readonly #synced: Bytes;
  /** What no sync has covered, in order. */
  #edits: Edit[] = [];
  size: number;

  constructor(synced: Buffer) {
    this.#synced = new Bytes(Buffer.from(synced));
    this.size = synced.length;
  }

  edit(edit: Edit): void {
    this.#edits.push(edit);
    const isResized = "length" in edit;
    this.size = isResized ? edit.length : Math.max(this.size, edit.offset + edit.data.length);
  }

  /** Makes durable what had been written before `before`. */
  sync(before: number): void {
    const later = this.#edits.findIndex(({ at }) => at >= before);
    const count = later < 0 ? this.#edits.length : later;
    for (const edit of this.#edits.splice(0, count)) this.#synced.apply(edit);
  }

  synced(): Buffer {
    return this.#synced.copy().view();
  }

  written(): Buffer {
    return this.#after(this.#edits.length).view();
  }

  torn(chance: SeededChance): Buffer {
    const count = chance.integer(this.#edits.length + 1);
    const content = this.#after(count);
    const next = this.#edits[count];
    if (next !== undefined && "data" in next) {
      content.apply({ ...next, data: next.data.subarray(0, chance.integer(next.data.length)) });
    }
    return content.view();
  }

  #after(count: number): Bytes {
    const content = this.#synced.copy();
    for (const edit of this.#edits.slice(0, count)) content.apply(edit);
    return content;
  }
}

class Folder {}

type Thing = File | Folder;
type Names = Map<string, Thing>;

interface NameChange {
  readonly at: number;
  /** The folders in which names change: a sync of one of them makes the change durable. */
  readonly folders: readonly string[];
  /** A folder takes along what is in it. */
  readonly removed: readonly string[];
  readonly added: readonly (readonly [path: string, thing: Thing])[];
  /** Of a rename: the names of a folder's contents are the folder's, wherever it is. */
  readonly moves?: Move;
}

interface Move {
  readonly at: number;
  readonly from: string;
  readonly to: string;
}

export class Disk {
  readonly #names: Names = new Map();
  readonly #durableNames: Names = new Map();
  /** Those that no sync has made durable, in order. */
  #nameChanges: NameChange[] = [];
  readonly #durableMoves: Move[] = [];

  /** `base`: what was there at the start, and had been for so long that it is durable. */
  constructor(base: Image = { files: new Map(), folders: new Set() }) {
    for (const path of base.folders) this.#names.set(path, new Folder());
    for (const [path, bytes] of base.files) this.#names.set(path, new File(bytes));
    for (const [path, thing] of this.#names) this.#durableNames.set(path, thing);
  }

  /** What everybody sees as long as the power stays. */
  now(): Image {
    return imageOf(this.#names, (file) => file.written());
  }

  /** What is left when the power goes. */
  after(loss: Loss, chance: SeededChance): Image {
    if (loss === "named") return imageOf(this.#names, (file) => file.synced());
    if (loss === "synced") return imageOf(this.#durableNames, (file) => file.synced());
    const names = new Map(this.#durableNames);
    const count = chance.integer(this.#nameChanges.length + 1);
    for (const change of this.#nameChanges.slice(0, count)) changeNames(names, change);
    return imageOf(names, (file) => file.torn(chance));
  }

  /** `at`: when the change had been made. Changes come in that order. */
  apply(change: DiskChange, at: number): void {
    switch (change.kind) {
      case "open":
        return this.#open(change, at);
      case "write":
        return this.#write(change, at);
      case "seek": {
        const descriptor = this.#file(change.path)?.descriptors.get(change.fd);
        if (descriptor !== undefined) descriptor.position = change.offset;
        return;
      }
      case "resize":
        return this.#file(change.path)?.edit({ at, length: change.length });
      case "sync":
        return this.#sync(change.path, change.beganAt);
      case "folder":
        return this.#add(change.path, new Folder(), at);
      case "remove":
        return this.#change(at, [change.path], []);
      case "rename":
        return this.#rename(change.path, change.to, at);
      case "link": {
        const thing = this.#names.get(change.path);
        return thing === undefined ? undefined : this.#add(change.to, thing, at);
      }
    }
  }

  #open(change: DiskChange & { kind: "open" }, at: number): void {
    const { path, fd, appends, syncs } = change;
    if (!this.#names.has(path) && change.creates) this.#add(path, new File(Buffer.alloc(0)), at);
    const file = this.#file(path);
    if (file === undefined) return; // a folder, or a file that is not there
    file.descriptors.set(fd, { position: 0, appends, syncs });
    if (change.truncates && file.size > 0) file.edit({ at, length: 0 });
  }

  #write({ path, fd, offset, data }: DiskChange & { kind: "write" }, at: number): void {
    const file = this.#file(path);
    if (file === undefined) return; // written to after it was removed
    const descriptor = file.descriptors.get(fd);
    if (offset !== undefined) file.edit({ at, offset, data });
    else {
      const isAppended = descriptor === undefined || descriptor.appends;
      const position = isAppended ? file.size : descriptor.position;
      file.edit({ at, offset: position, data });
      if (descriptor !== undefined) descriptor.position = position + data.length;
    }
    if (descriptor?.syncs === true) this.#sync(path, at + 1);
  }

  #sync(path: string, before: number): void {
    const thing = this.#names.get(path);
    if (thing instanceof File) thing.sync(before);
    const reached = new Set<Thing | undefined>([thing]);
    for (let above = dirname(path); above !== "."; above = dirname(above)) {
      reached.add(this.#names.get(above));
    }
    const folder = thing instanceof File ? undefined : path;
    const isKept = ({ at, folders, added }: NameChange): boolean =>
      at < before &&
      (added.some(([, one]) => reached.has(one)) ||
        folders.some((one) => this.#placeNow(one, at) === folder));
    const [kept, waiting] = parted(this.#nameChanges, isKept);
    for (const change of kept) {
      changeNames(this.#durableNames, this.#moved(change));
      if (change.moves !== undefined) this.#durableMoves.push(change.moves);
    }
    this.#nameChanges = waiting;
  }

  /** The change, where its folder has been moved since, and that is durable already. */
  #moved(change: NameChange): NameChange {
    const now = (path: string): string => this.#placeNow(path, change.at);
    const { added, removed } = change;
    return {
      ...change,
      removed: removed.map(now),
      added: added.map(([path, thing]) => [now(path), thing] as const),
    };
  }

  /** Where that which had this path at some time is by now. */
  #placeNow(path: string, since: number): string {
    let place = path;
    for (const { at, from, to } of this.#durableMoves) {
      const isIn = place === from || place.startsWith(`${from}/`);
      if (at > since && isIn) place = to + place.slice(from.length);
    }
    return place;
  }

  #add(path: string, thing: Thing, at: number): void {
    this.#change(at, [], [[path, thing]]);
  }

  #rename(path: string, to: string, at: number): void {
    const moved = [...this.#names].filter(([name]) => name === path || name.startsWith(`${path}/`));
    const added = moved.map(([name, thing]) => [to + name.slice(path.length), thing] as const);
    this.#change(
      at,
      moved.map(([name]) => name),
      added,
      [path, to],
      { at, from: path, to },
    );
  }

  #change(
    at: number,
    removed: NameChange["removed"],
    added: NameChange["added"],
    about = [...removed, ...added.map(([path]) => path)],
    moves?: Move,
  ): void {
    const change = { at, folders: about.map(folderOf), removed, added, ...(moves && { moves }) };
    changeNames(this.#names, change);
    this.#nameChanges.push(change);
  }

  #file(path: string): File | undefined {
    const thing = this.#names.get(path);
    return thing instanceof File ? thing : undefined;
  }
}

function changeNames(names: Names, { removed, added, moves }: NameChange): void {
  for (const path of removed) names.delete(path);
  for (const [path, thing] of added) names.set(path, thing);
  if (moves === undefined) return;
  // A name in the folder whose end is not durable yet has moved along.
  const left = [...names].filter(([path]) => path.startsWith(`${moves.from}/`));
  for (const [path, thing] of left) {
    names.delete(path);
    names.set(moves.to + path.slice(moves.from.length), thing);
  }
}

function imageOf(names: Names, contentOf: (file: File) => Buffer): Image {
  const image: Image = { files: new Map(), folders: new Set() };
  for (const [path, thing] of names) {
    if (thing instanceof File) image.files.set(path, contentOf(thing));
    else image.folders.add(path);
  }
  return image;
}

/** "" is the disk's root. */
function folderOf(path: string): string {
  const folder = dirname(path);
  return folder === "." ? "" : folder;
}

function parted<Item>(items: readonly Item[], isFirst: (item: Item) => boolean): [Item[], Item[]] {
  const parts: [Item[], Item[]] = [[], []];
  for (const item of items) parts[isFirst(item) ? 0 : 1].push(item);
  return parts;
}
