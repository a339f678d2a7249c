/**
 * Structure: how the sources of a folder import one another.
 *
 * The *rooms* of a folder are its direct children: files, and folders taken as one. Room a is above
 * room b if a file in a imports one in b. The *floors* are the length of the longest way down, in
 * rooms; rooms of a circle share a floor. *Backwards* counts the imports between rooms of a circle:
 * none is what a folder should have.
 */
import { dirname, join } from "node:path";

/** One import of ours: both are paths from the project's folder, without an ending. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
}

export interface FolderStructure {
  readonly folder: string;
  readonly roomCount: number;
  readonly floorCount: number;
  /** Pairs of rooms of which one imports the other. */
  readonly importCount: number;
  readonly backwardsCount: number;
}

/** Imports and re-exports of our own files; those in comments begin no line. */
export function arrowsOf(file: string, text: string): Arrow[] {
  const statement = /^(?:import|export) (?:[^"';]*? from )?"(\.[^"]+)";/gm;
  const dynamic = /\bimport\((?:\n\s*)?"(\.[^"]+)"/g;
  const from = withoutEnding(file);
  const found = [...text.matchAll(statement), ...text.matchAll(dynamic)];
  return found.map(([, target = ""]) => {
    return { from, to: join(dirname(file), target).replace(/\.js$/, "") };
  });
}

/** Each folder with files of ours in it, and how its rooms import one another; by folder. */
export function structureOf(files: readonly string[], arrows: readonly Arrow[]): FolderStructure[] {
  const names = files.map(withoutEnding);
  const folders = new Set(names.flatMap((name) => ancestors(name)));
  return [...folders].toSorted().map((folder) => {
    const rooms = new Set(names.flatMap((name) => roomIn(folder, name) ?? []));
    const below = new Map<string, Set<string>>([...rooms].map((room) => [room, new Set()]));
    for (const { from, to } of arrows) {
      const [upper, lower] = [roomIn(folder, from), roomIn(folder, to)];
      if (upper === undefined || lower === undefined || upper === lower) continue;
      below.get(upper)?.add(lower);
    }
    const circles = circlesIn(below);
    const backwards = circles.map((circle) => {
      return circle.map((room) => [...(below.get(room) ?? [])].filter((to) => circle.includes(to)));
    });
    return {
      folder,
      roomCount: rooms.size,
      floorCount: floorsOf(below, circles),
      importCount: [...below.values()].reduce((sum, { size }) => sum + size, 0),
      backwardsCount: backwards.flat(2).length,
    };
  });
}

/** Files that import one another in a circle, each circle sorted. */
export function fileCircles(arrows: readonly Arrow[]): string[][] {
  const below = new Map<string, Set<string>>();
  for (const { from, to } of arrows) {
    below.set(from, (below.get(from) ?? new Set()).add(to));
    if (!below.has(to)) below.set(to, new Set());
  }
  return circlesIn(below);
}

function withoutEnding(file: string): string {
  return file.replace(/(\.d)?\.ts$/, "");
}

/** The direct child of the folder that holds the file; undefined = it is not below the folder. */
function roomIn(folder: string, file: string): string | undefined {
  if (!file.startsWith(`${folder}/`)) return undefined;
  return file.slice(folder.length + 1).split("/")[0];
}

function ancestors(file: string): string[] {
  const parts = file.split("/").slice(0, -1);
  return parts.map((_part, index) => parts.slice(0, index + 1).join("/"));
}

/**
 * The strongly connected components of two rooms or more, each sorted.
 * Source: Tarjan, Depth-first search and linear graph algorithms (1972). Cost: O(rooms + imports).
 */
function circlesIn(below: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (room: string): number => {
    const own = order.size;
    order.set(room, own);
    stack.push(room);
    let low = own;
    for (const next of below.get(room) ?? []) {
      if (!order.has(next)) low = Math.min(low, visit(next));
      else if (stack.includes(next)) low = Math.min(low, order.get(next) ?? low);
    }
    lowest.set(room, low);
    if (low === own) {
      const circle = stack.splice(stack.indexOf(room));
      if (circle.length > 1) circles.push(circle.toSorted());
    }
    return low;
  };
  for (const room of below.keys()) if (!order.has(room)) visit(room);
  return circles;
}

/** Rooms on the longest way down; the rooms of a circle count as one. */
function floorsOf(
  below: ReadonlyMap<string, ReadonlySet<string>>,
  circles: readonly (readonly string[])[],
): number {
  const one = (room: string): string => circles.find((each) => each.includes(room))?.[0] ?? room;
  const floors = new Map<string, number>();
  const floorOf = (room: string): number => {
    const known = floors.get(room);
    if (known !== undefined) return known;
    const members = circles.find((each) => each[0] === room) ?? [room];
    const lower = members.flatMap((each) => [...(below.get(each) ?? [])].map(one));
    const others = lower.filter((each) => each !== room).map(floorOf);
    const floor = 1 + Math.max(0, ...others);
    floors.set(room, floor);
    return floor;
  };
  return Math.max(0, ...[...below.keys()].map((room) => floorOf(one(room))));
}
