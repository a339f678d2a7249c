/**
 * Attempts of a coordinator: the ids of requests that have none.
 */
import { expect } from "chai";
import { newRequestId } from "../../../actors/coordinator/attempts.js";
import { seededChance } from "../../support/manual-clock.js";

describe("attempts of a coordinator", () => {
  it("have ids of their own, which are no UUID and so have no time", () => {
    const chance = seededChance(1);
    const ids = Array.from({ length: 100 }, () => newRequestId(chance));
    expect(new Set(ids)).to.have.property("size", 100);
    for (const id of ids) expect(id).to.match(/^[0-9a-f]{32}$/);
  });
});
