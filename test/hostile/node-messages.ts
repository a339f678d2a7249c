/**
 * Payloads for the subjects of single nodes: plans and orders to repair, asks for a store's parts.
 *
 * No order may do anything here, for nothing is wrong with any shard: replies.ts holds that
 * against each answer, and the campaign looks at the stores afterwards.
 */
import * as payloads from "./payloads.js";
import type { Random } from "./random.js";
import type { Target } from "./target.js";

/** Told what is there, and nothing else. */
export const lookVerbs = ["status", "repair-report"] as const;
/** Can make a replica set its store aside, or hand it over. */
export const repairVerbs = ["repair", "refill", "seed"] as const;

/** Sessions are few, and a part is asked for again, so that some go on and others are refused. */
const SESSIONS = 3;
const PARTS = 4;

/** Valid, or of the right form with wrong members. */
export function nodePayload(verb: string, random: Random, target: Target): Buffer {
  const { shard, logId, nodes, repairToken } = random.pick(target.shards);
  const name = random.once(8) ? random.pick(["s0", "s99", "", "__proto__", "*"]) : shard;
  if (random.once(10)) return Buffer.from(payloads.jsonText(random));
  switch (verb) {
    case "repair-report":
    case "refill":
      return json({ shard: name, ...(random.once(2) ? { chains_at: chains(random) } : {}) });
    case "repair": {
      const abandon = random.pick([[], [], [nodes[0]], nodes, ["n9"], [null], "n1"]);
      const forged = random.pick(["log", "refill", "nothing"]);
      const tokens = [repairToken, repairToken.replace("nothing", forged), "", 5, null];
      return json({ shard: name, abandon, ...(random.once(3) ? {} : { token: pick(tokens) }) });
    }
    case "seed":
      return json({
        shard: name,
        log_id: random.once(8) ? "0123456789abcdef" : logId,
        session: `hostile${random.below(SESSIONS)}`,
        part: random.once(8) ? random.pick([-1, 0.5, 2 ** 53, "0", null]) : random.below(PARTS),
      });
    default:
      return Buffer.from(payloads.jsonText(random));
  }

  function pick(tokens: readonly unknown[]): unknown {
    return random.once(2) ? repairToken : random.pick(tokens);
  }
}

function chains(random: Random): unknown {
  const one = (): number => random.pick([0, 1, 5, 100, -1, 2 ** 48, 2 ** 53 - 1]);
  return random.once(6) ? [0.5] : Array.from({ length: random.below(20) }, one);
}

function json(body: object): Buffer {
  return Buffer.from(JSON.stringify(body));
}
