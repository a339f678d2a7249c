/**
 * Times to live in the grammar of Nats-TTL, at its limits and outside.
 */
import { expect } from "chai";
import fc from "fast-check";
import { KvError } from "../../../protocol/errors.js";
import type { TimeMs } from "../../../protocol/ids.js";
import { TTL_MAX_MS, TTL_MIN_MS } from "../../../protocol/limits.js";
import { formatDuration, formatTime, parseTtl, withoutDays } from "../../../protocol/value/ttl.js";

describe("time to live", () => {
  it("takes days and weeks where a person or program of ours writes it", () => {
    const hour = 3_600_000;
    const forms = { "1d": 24, "2w": 336, "1d12h": 36, "0.7d": 16.8, "1w1d": 192, "90m": 1.5 };
    for (const [text, hours] of Object.entries(forms)) {
      expect(parseTtl(withoutDays(text)), text).to.equal(hours * hour);
    }
    expect(parseTtl(withoutDays("90"))).to.equal(90_000);
    expect(withoutDays("never")).to.equal("never");
    expect(() => parseTtl(withoutDays("1 d"))).to.throw("ttl");
    expect(() => parseTtl(withoutDays("d"))).to.throw("ttl");
  });

  it("is whole seconds, a Go duration or never", () => {
    const forms: Record<string, number | "never"> = {
      "1": 1_000,
      "90": 90_000,
      "0090": 90_000,
      "1h30m": 5_400_000,
      "1.5s": 1_500,
      "+1.5s": 1_500,
      "1.s": 1_000,
      ".5m": 30_000,
      "0.1h": 360_000,
      "1.001s": 1_001,
      "1s1ms": 1_001,
      "1s999us999ns": 1_000,
      "1000000\u00b5s": 1_000,
      "1000000\u03bcs": 1_000,
      "500ms500ms": 1_000,
      never: "never",
      Never: "never",
    };
    for (const [text, ttl] of Object.entries(forms)) expect(parseTtl(text), text).to.equal(ttl);
  });

  it("is nothing else", () => {
    const texts = [
      "",
      " ",
      "1 s",
      " 1",
      "1.5",
      "-5",
      "+5",
      "1e3",
      "1d",
      "s",
      ".s",
      "1h 5m",
      "ever",
    ];
    texts.push("never ", "keep", "1S", "0x10", "٣", "-1h", "1".repeat(65), "1h-1m");
    for (const text of texts) refuses(text, "whole seconds");
  });

  it("is within its limits", () => {
    expect(parseTtl("1000ms")).to.equal(TTL_MIN_MS);
    for (const text of ["0", "999ms", "999999us", "0s"]) refuses(text, "at least 1s");
    expect(parseTtl(String(TTL_MAX_MS / 1_000))).to.equal(TTL_MAX_MS);
    refuses(`${TTL_MAX_MS + 1}ms`, "at most 876000h");
    refuses("9".repeat(64), "at most 876000h");
  });

  it("is formatted as it is parsed", () => {
    fc.assert(
      fc.property(fc.integer({ min: TTL_MIN_MS, max: TTL_MAX_MS }), (ms) => {
        expect(parseTtl(formatDuration(ms))).to.equal(ms);
      }),
    );
    expect(formatDuration(5_400_000)).to.equal("1h30m");
    expect(formatDuration(1_500)).to.equal("1.5s");
    expect(formatDuration(0)).to.equal("0s");
  });
});

describe("time", () => {
  it("is RFC 3339 in UTC with milliseconds", () => {
    expect(formatTime(1_767_225_600_007 as TimeMs)).to.equal("2026-01-01T00:00:00.007Z");
  });
});

function refuses(text: string, why: string): void {
  const thrown = expect(() => parseTtl(text), JSON.stringify(text)).to.throw(KvError, why);
  thrown.with.property("kind", "bad-request");
}
