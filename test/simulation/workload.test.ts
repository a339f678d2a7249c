/**
 * The workload: what it draws is what the store understands, and of every kind.
 */
import { expect } from "chai";
import { compileFilter } from "../../protocol/query/filter-match.js";
import { parseFilter } from "../../protocol/query/filter.js";
import { attributesOf } from "../../protocol/value/attributes.js";
import type { Plain } from "../../protocol/value/plain.js";
import { limits } from "../support/log-writer.js";
import { seededChance } from "../support/manual-clock.js";
import { matches } from "./filter-truth.js";
import { drawAtomic, drawKind, drawMix, drawQuery, drawRead, drawWrite } from "./workload.js";

const indexLimits = { ...limits, entriesMax: limits.indexEntriesMax };

describe("simulated workload", () => {
  it("asks for everything there is", () => {
    const drawn = new Set<string>();
    for (let seed = 1; seed <= 300; seed += 1) {
      const chance = seededChance(seed);
      const mix = drawMix(chance);
      const known = { client: "c1", number: seed, revisionOf: () => 3 };
      drawn.add(drawKind(chance, mix)).add(drawQuery(chance).verb);
      drawn.add(drawRead(chance, mix.keys).level ?? "");
      const writes = [drawWrite(chance, mix.keys, known), ...drawAtomic(chance, mix, known)];
      for (const { verb, ifRevision, ttl } of writes) {
        drawn
          .add(verb)
          .add(`ttl ${typeof ttl}`)
          .add(`condition ${typeof ifRevision}`);
      }
    }
    const kinds = ["read", "write", "batch", "query", "garbage", "find", "count", "keys"];
    const levels = ["linearizable", "session", "stale"];
    const verbs = ["set", "del", "patch", "incr", "touch", "check"];
    const options = ["ttl number", "ttl string", "condition number"];
    expect([...drawn]).to.include.members([...kinds, ...levels, ...verbs, ...options]);
  });

  it("has a truth about each filter and value that the store's own matching agrees with", () => {
    const counts = { yes: 0, no: 0 };
    for (let seed = 1; seed <= 2_000; seed += 1) {
      const chance = seededChance(seed);
      const { keys } = drawMix(chance);
      const query = drawQuery(chance);
      const write = drawWrite(chance, keys, { client: "c1", number: 1, revisionOf: () => 0 });
      if (query.verb === "keys" || write.value === undefined) continue;
      const value = JSON.parse(write.value) as Plain;
      const attributes = attributesOf(value, { excluded: [] }, indexLimits);
      const own = compileFilter(parseFilter(query.where))(attributes, write.key);
      const where = JSON.stringify(query.where);
      expect(matches(query.where, write.key, value), `${where} of ${write.value}`).to.equal(own);
      counts[own ? "yes" : "no"] += 1;
    }
    expect(Math.min(counts.yes, counts.no)).to.be.greaterThan(100);
  });
});
