/**
 * What the place of the ring table does, also when something goes wrong: what the ring-keeper and
 * the repairer rely on, the same in JetStream's bucket and in memory.
 */
import { expect } from "chai";
import type { RingCell } from "../../actors/ring-keeper/repairer.js";
import type { RingPlace } from "../../actors/ring-keeper/ring-keeper.js";
import { refusal } from "../support/failure.js";

export type Ring = RingCell & RingPlace;

export interface FaultyRingWorld {
  /** A handle as a program has it; all are of one bucket. What begins with GARBAGE is no ring. */
  open(): Promise<Ring>;
  /** `change` is made, and its answer lost. */
  loseAnswer<Result>(ring: Ring, change: () => Promise<Result>): Promise<Result>;
  /** Somebody puts a value there, without asking for a revision. */
  put(value: Uint8Array): Promise<void>;
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  /** Time goes faster, for those whose answers cannot come. */
  hurry(isHurried: boolean): void;
  close(): Promise<void>;
}

/** Begins values that are no ring. */
export const GARBAGE = 255;

export function ringFaultsContract(createWorld: () => Promise<FaultyRingWorld>): void {
  let world: FaultyRingWorld;
  let ring: Ring;
  let other: Ring;
  const read = async (): Promise<(number | undefined)[]> => {
    const found = await other.read();
    return [found?.value[0], found?.revision];
  };
  beforeEach(async () => {
    world = await createWorld();
    ring = await world.open();
    other = await world.open();
  });
  afterEach(() => world.close());

  it("is made once, and changes at its newest revision only", async () => {
    expect(await ring.read()).to.equal(undefined);
    expect(await ring.update(byte(9), 1)).to.equal(undefined);
    expect(await ring.createOnce(byte(1))).to.equal(true);
    expect(await other.createOnce(byte(9))).to.equal(false);
    expect(await other.update(byte(2), 1)).to.equal(2);
    expect(await ring.update(byte(9), 1)).to.equal(undefined);
    expect(await ring.update(byte(9), 3)).to.equal(undefined);
    expect(await read()).to.deep.equal([2, 2]);
    const raced = await Promise.all([ring.update(byte(3), 2), other.update(byte(4), 2)]);
    expect(raced.filter((revision) => revision !== undefined)).to.deep.equal([3]);
  });

  it("is made though the answer was lost, and then refuses the same again", async () => {
    const create = (): Promise<boolean> => ring.createOnce(byte(1));
    expect(await refusal(world.loseAnswer(ring, create))).to.have.property("kind", "in-doubt");
    expect(await read()).to.deep.equal([1, 1]);
    expect(await ring.createOnce(byte(1))).to.equal(false);
    const update = (): Promise<number | undefined> => ring.update(byte(2), 1);
    expect(await refusal(world.loseAnswer(ring, update))).to.have.property("kind", "in-doubt");
    expect(await read()).to.deep.equal([2, 2]);
    expect(await ring.update(byte(2), 1)).to.equal(undefined);
  });

  it("gives the last ring where something else stands, at the revision that mends it", async () => {
    await world.put(byte(GARBAGE));
    expect(await read()).to.deep.equal([GARBAGE, 1]);
    expect(await ring.createOnce(byte(1))).to.equal(false);
    expect(await ring.update(byte(1), 1)).to.equal(2);
    await world.put(byte(GARBAGE));
    await world.put(byte(GARBAGE));
    expect(await read()).to.deep.equal([1, 4]);
    expect(await ring.update(byte(2), 2)).to.equal(undefined);
    expect(await ring.update(byte(2), 4)).to.equal(5);
    expect(await read()).to.deep.equal([2, 5]);
  });

  it("answers nobody while it is away, and is as it was when it is back", async () => {
    await ring.createOnce(byte(1));
    await world.goAway();
    world.hurry(true);
    const asked = [ring.read(), ring.createOnce(byte(2)), ring.update(byte(3), 1)];
    for (const { kind } of await Promise.all(asked.map(refusal))) {
      expect(kind).to.be.oneOf(["unavailable", "in-doubt"]);
    }
    world.hurry(false);
    await world.comeBack();
    expect(await read()).to.deep.equal([1, 1]);
    expect(await ring.update(byte(2), 1)).to.equal(2);
  });
}

function byte(value: number): Uint8Array {
  return Uint8Array.of(value);
}
