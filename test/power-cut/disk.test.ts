/**
 * What a power cut leaves of a disk: each rule of the model, by itself.
 */
import { expect } from "chai";
import { seededChance } from "../support/manual-clock.js";
import { Disk, type DiskChange, type Image, type Loss } from "./disk.js";

const FD = 5;

describe("a disk without power", () => {
  let disk: Disk;
  let at: number;
  beforeEach(() => {
    disk = new Disk();
    at = 0;
  });

  it("has what was synced of a file, and nothing of what came later", () => {
    create("a");
    write("a", "one");
    sync("a");
    write("a", "two");
    expect(disk.now().files.get("a")?.toString()).to.equal("onetwo");
    expect(left("synced")).to.deep.equal({ a: "one" });
    expect(left("named")).to.deep.equal({ a: "one" });
  });

  it("has the old bytes where others were written over them and not synced", () => {
    create("a");
    write("a", "0123456789");
    sync("a");
    write("a", "xx", 4);
    expect(left("synced")).to.deep.equal({ a: "0123456789" });
    sync("a");
    expect(left("synced")).to.deep.equal({ a: "0123xx6789" });
  });

  it("lacks what was written while the sync was under way", () => {
    create("a");
    write("a", "one");
    const beganAt = (at += 1);
    write("a", "two");
    apply({ kind: "sync", path: "a", beganAt });
    expect(left("synced")).to.deep.equal({ a: "one" });
  });

  it("has all writes of a file that was opened to sync each", () => {
    create("a", { syncs: true });
    write("a", "one");
    expect(left("synced")).to.deep.equal({ a: "one" });
  });

  it("has a file that never was synced empty, or not at all", () => {
    create("a");
    write("a", "one");
    expect(left("named")).to.deep.equal({ a: "" });
    expect(left("synced")).to.deep.equal({});
  });

  it("has a synced file in folders that nobody synced", () => {
    apply({ kind: "folder", path: "x" });
    apply({ kind: "folder", path: "x/y" });
    apply({ kind: "folder", path: "z" });
    create("x/y/a");
    write("x/y/a", "one");
    sync("x/y/a");
    expect(left("synced")).to.deep.equal({ "x/y/a": "one" });
    expect([...disk.after("synced", seededChance(1)).folders]).to.have.members(["x", "x/y"]);
  });

  it("has a renamed file under its old name until the folder is synced", () => {
    apply({ kind: "folder", path: "x" });
    create("x/a");
    write("x/a", "old");
    sync("x/a");
    create("x/a.new");
    write("x/a.new", "new");
    sync("x/a.new");
    apply({ kind: "rename", path: "x/a.new", to: "x/a" });
    expect(left("synced")).to.deep.equal({ "x/a": "old", "x/a.new": "new" });
    expect(left("named")).to.deep.equal({ "x/a": "new" });
    sync("x");
    expect(left("synced")).to.deep.equal({ "x/a": "new" });
  });

  it("has a removed file again, unless its folder was synced since", () => {
    create("a");
    write("a", "one");
    sync("a");
    apply({ kind: "remove", path: "a" });
    expect(left("synced")).to.deep.equal({ a: "one" });
    expect(left("named")).to.deep.equal({});
    sync("");
    expect(left("synced")).to.deep.equal({});
  });

  it("has what lies in a renamed folder at its new place", () => {
    apply({ kind: "folder", path: "x" });
    create("x/a");
    write("x/a", "one");
    sync("x/a");
    apply({ kind: "rename", path: "x", to: "y" });
    expect(disk.now().files.has("x/a")).to.equal(false);
    expect(left("synced")).to.deep.equal({ "x/a": "one" });
    sync("");
    expect(left("synced")).to.deep.equal({ "y/a": "one" });
  });

  it("has nothing at the old place of a renamed folder, whatever was not durable in it", () => {
    apply({ kind: "folder", path: "a" });
    create("a/gone");
    sync("a/gone");
    apply({ kind: "remove", path: "a/gone" });
    create("a/new");
    apply({ kind: "rename", path: "a", to: "b" });
    sync("");
    write("b/new", "one");
    sync("b/new");
    expect(left("synced")).to.deep.equal({ "b/gone": "", "b/new": "one" });
    sync("b");
    expect(left("synced")).to.deep.equal({ "b/new": "one" });
  });

  it("has, if it is torn, the synced bytes and the first so many others", () => {
    create("a");
    write("a", "one");
    sync("a");
    write("a", "two");
    write("a", "three");
    const seen = new Set<string>();
    for (let seed = 1; seed <= 200; seed += 1) {
      const { a = "" } = left("torn", seed);
      expect("onetwothree".startsWith(a) && a.startsWith("one"), a).to.equal(true);
      seen.add(a);
    }
    expect(seen).to.include("one").and.include("onetwothree").and.include("onetw");
  });

  it("has what was there before, and what was written behind its end", () => {
    disk = new Disk({ files: new Map([["a", Buffer.from("old")]]), folders: new Set() });
    apply({ kind: "resize", path: "a", length: 1 });
    write("a", "x", 3);
    expect(left("synced")).to.deep.equal({ a: "old" });
    sync("a");
    expect(left("synced")).to.deep.equal({ a: "o\0\0x" });
  });

  it("tells descriptors apart: each writes where it stands, or at the end", () => {
    create("a");
    write("a", "0123456789");
    apply(open("a", FD + 1, {}));
    apply({ kind: "seek", path: "a", fd: FD + 1, offset: 2 });
    apply({ kind: "write", path: "a", fd: FD + 1, offset: undefined, data: Buffer.from("x") });
    apply({ kind: "write", path: "a", fd: FD + 1, offset: undefined, data: Buffer.from("y") });
    write("a", "!");
    apply(open("a", FD + 2, { appends: true }));
    apply({ kind: "write", path: "a", fd: FD + 2, offset: undefined, data: Buffer.from("?") });
    expect(disk.now().files.get("a")?.toString()).to.equal("01xy456789!?");
  });

  function apply(change: DiskChange): void {
    at += 1;
    disk.apply(change, at);
  }

  function create(path: string, how: { syncs?: boolean } = {}): void {
    apply(open(path, FD, { creates: true, ...how }));
  }

  function write(path: string, text: string, offset?: number): void {
    apply({ kind: "write", path, fd: FD, offset, data: Buffer.from(text) });
  }

  function sync(path: string): void {
    apply({ kind: "sync", path, beganAt: at + 1 });
  }

  function left(loss: Loss, seed = 1): Record<string, string> {
    return textsOf(disk.after(loss, seededChance(seed)));
  }
});

function open(
  path: string,
  fd: number,
  how: { creates?: boolean; appends?: boolean; syncs?: boolean },
): DiskChange {
  const flags = { creates: false, truncates: false, appends: false, syncs: false, ...how };
  return { kind: "open", path, fd, ...flags };
}

function textsOf({ files }: Image): Record<string, string> {
  return Object.fromEntries([...files].map(([path, bytes]) => [path, bytes.toString()]));
}
