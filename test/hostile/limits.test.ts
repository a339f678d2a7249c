/**
 * Every limit and its neighbours: one below and the limit itself are taken, one beyond is refused
 * with an error that names what is limited, the limit and what was received, in both forms alike.
 */
import { decode, encode } from "@msgpack/msgpack";
import { expect } from "chai";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { headers as natsHeaders } from "nats";
import { packageFolder } from "../../infra/files/package-version.js";
import { errorNames, KvError } from "../../protocol/errors.js";
import * as limits from "../../protocol/limits.js";
import { checkNodeName, checkStoreName } from "../../protocol/nats/subjects.js";
import { positionOf } from "../../protocol/position.js";
import { encodeRing, parseRing, type RingJson } from "../../protocol/ring/ring.js";
import { useSharedCluster } from "../support/shared-cluster.js";
import {
  limitCases,
  otherLimits,
  type LimitCase,
  type LimitName,
  type Sent,
} from "./limit-cases.js";

const sizes: Readonly<Record<string, number>> = { ...limits };

interface Told {
  readonly name: string;
  readonly description: string;
}

describe("limits", function () {
  this.timeout(60_000);
  const shared = useSharedCluster();

  it("are all met by a case, or by a test elsewhere, or it is said why they cannot be", () => {
    for (const limit of Object.keys(limits) as LimitName[]) {
      const isMet = limitCases.some((each) => each.limit === limit);
      const elsewhere = otherLimits[limit];
      expect(isMet !== (elsewhere !== undefined), `${limit}: met here or elsewhere`).to.equal(true);
      if (elsewhere === undefined || "why" in elsewhere) continue;
      const text = readFileSync(join(packageFolder(), elsewhere.file), "utf8");
      expect(text.includes(`it("${elsewhere.it}`), `${elsewhere.file}: ${elsewhere.it}`).to.equal(
        true,
      );
    }
  });

  it("that are answered with an error or a reset are all met", () => {
    const answered = answeredLimits();
    expect(answered).to.include.members(["SCAN_ROWS_MAX", "RELAY_BEHIND_MAX", "KEY_BYTES_MAX"]);
    const unmet = answered.filter((limit) => {
      const elsewhere = otherLimits[limit as LimitName];
      return elsewhere !== undefined && "why" in elsewhere;
    });
    expect(unmet).to.deep.equal([]);
  });

  for (const each of limitCases) {
    for (const form of ["plain", "packed"] as const) {
      const make = each[form];
      if (make === undefined) continue;
      it(`${each.limit}: ${each.what}, ${form}`, () => check(each, make));
    }
  }

  it("HOPS_MAX: a request that was passed on so often is not passed on again", async () => {
    const key = "hostile.hops";
    const status = await shared.cluster.status();
    expect(status.replicas.length).to.be.greaterThan(1);
    // A position far from the key's own, so that most likely another shard is asked.
    const position = (positionOf(key, limits.POSITION_COUNT) + 512) % limits.POSITION_COUNT;
    for (const hops of [limits.HOPS_MAX - 1, limits.HOPS_MAX, limits.HOPS_MAX + 1]) {
      const data = encode({ key, value: Buffer.from("1"), hops });
      const error = await send({ subject: `kv.ring.${position}.set`, data });
      const expected = hops < limits.HOPS_MAX ? undefined : "unavailable";
      expect(error?.name, `${hops} hops`).to.equal(expected);
    }
  });

  it("PAYLOAD_BYTES_MAX: what nats-server takes is answered, whatever it is", async () => {
    const data = Buffer.alloc(limits.PAYLOAD_BYTES_MAX, 0x20);
    expect(await send({ subject: "kv.set.hostile", data })).to.have.property("name", "too-large");
    const tooLarge = Buffer.alloc(limits.PAYLOAD_BYTES_MAX + 1);
    const refusal = await send({ subject: "kv.set.hostile", data: tooLarge }).catch(String);
    expect(refusal).to.contain("MAX_PAYLOAD_EXCEEDED");
  });

  it("KEY_TOKENS_MAPPED_MAX: keys of more tokens are answered the same", async () => {
    const { KEY_TOKENS_MAPPED_MAX: most } = limits;
    for (const count of [most - 1, most, most + 1]) {
      const subject = `kv.set.${Array.from({ length: count }, () => "t").join(".")}`;
      expect(await send({ subject, data: Buffer.from("1") })).to.equal(undefined);
    }
  });

  it("REQUEST_AHEAD_MAX_MS: an id of the future is refused, one of now is not", async () => {
    const at = (ms: number): Sent => {
      const time = (Date.now() + ms).toString(16).padStart(12, "0");
      const id = `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`;
      return {
        subject: "kv.set.hostile",
        data: Buffer.from("1"),
        headers: { "Kv-Request-Id": id },
      };
    };
    // The clocks are not one: a margin of some seconds to either side.
    expect(await send(at(0))).to.equal(undefined);
    const error = await send(at(limits.REQUEST_AHEAD_MAX_MS * 2));
    expect(error).to.have.property("name", "bad-request");
    expect(error?.description).to.contain("clock");
  });

  it("NAME_CHARS_MAX: names of stores and nodes", () => {
    const { NAME_CHARS_MAX: most } = limits;
    for (const checkName of [checkStoreName, checkNodeName]) {
      for (const size of [most - 1, most]) checkName("n".repeat(size));
      expect(() => checkName("n".repeat(most + 1)))
        .to.throw(KvError, String(most))
        .with.property("kind", "bad-request");
    }
  });

  it("POSITION_COUNT_MAX and WEIGHT_MAX: of a ring", async () => {
    const { name: _type, ...json } = await ringOf(shared.nats.request("kv.ring"));
    for (const weight of [limits.WEIGHT_MAX - 1, limits.WEIGHT_MAX]) {
      const nodes = json.nodes.map((node) => ({ ...node, weight }));
      expect(encodeRing(parseRing({ ...json, nodes })).nodes[0]?.weight).to.equal(weight);
    }
    const heavy = json.nodes.map((node) => ({ ...node, weight: limits.WEIGHT_MAX + 1 }));
    expect(() => parseRing({ ...json, nodes: heavy })).to.throw(KvError, "weight");
    const { POSITION_COUNT_MAX: most } = limits;
    const large = (count: number): unknown => {
      const [first, ...others] = json.shards;
      const all = others.map((shard) => ({ ...shard, positions: [] }));
      return {
        ...json,
        position_count: count,
        shards: [{ ...first, positions: [`0-${count - 1}`] }, ...all],
      };
    };
    for (const count of [most - 1, most]) {
      expect(parseRing(large(count)).positionCount).to.equal(count);
    }
    expect(() => parseRing(large(most + 1))).to.throw(KvError, "position_count");
  });

  async function check(each: LimitCase, make: (size: number) => Sent): Promise<void> {
    const limit = sizes[each.limit] ?? Number.NaN;
    const outwards = each.isLeast === true ? -1 : 1;
    for (const size of [limit - outwards, limit]) {
      expect((await send(make(size)))?.name, `${size}`).to.equal(each.within);
    }
    const beyond = limit + outwards;
    const error = await send(make(beyond));
    expect(error?.name, error?.description).to.equal(each.refused);
    const text = JSON.stringify(error);
    expect(text).to.match(each.field);
    expect(text, "the limit").to.contain(String(limit));
    if (each.isUncounted !== true) expect(text).to.match(received(each, beyond));
  }

  /** The error that comes back; undefined = it was done. */
  async function send({ subject, data, headers = {} }: Sent): Promise<Told | undefined> {
    const list = natsHeaders();
    for (const [name, value] of Object.entries(headers)) list.set(name, value);
    const options = { timeout: 20_000, headers: list };
    const reply = await shared.nats.request(subject, data, options);
    const isText = reply.headers !== undefined || reply.data[0] === 0x7b;
    const body = isText ? JSON.parse(Buffer.from(reply.data).toString()) : decode(reply.data);
    return (body as { readonly error?: Told }).error;
  }
});

/** Limits that a client sees something of when they are reached, as docs/operations.md tells. */
function answeredLimits(): string[] {
  const text = readFileSync(join(packageFolder(), "docs/operations.md"), "utf8");
  const told = errorNames.map((name) => `\`${name}\``).concat("`reset`", "is refused");
  return text.split("\n").flatMap((line) => {
    const [, name = "", , , answer = ""] = line.split("|").map((cell) => cell.trim());
    const limit = name.replaceAll("`", "");
    if (!(limit in limits)) return [];
    return told.some((each) => answer.includes(each)) && !answer.includes("nothing is refused")
      ? [limit]
      : [];
  });
}

/** What an error shows of a size: of a time to live, also the text that was sent. */
function received({ limit }: LimitCase, size: number): RegExp {
  return new RegExp(limit === "TTL_MAX_MS" ? `${size}|h1ms` : String(size));
}

async function ringOf(
  reply: Promise<{ json<Body>(): Body }>,
): Promise<RingJson & { name?: string }> {
  return (await reply).json();
}
