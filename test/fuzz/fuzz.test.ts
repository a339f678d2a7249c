/**
 * Every decoder takes its corpus again, and some hundred new inputs. `make fuzz` runs for long, and
 * keeps what it finds.
 */
import { expect } from "chai";
import { Random } from "../hostile/random.js";
import type { Decoder } from "./decoder.js";
import { decoders } from "./decoders.js";
import { corpusOf, Fault, Fuzzer, tryInput } from "./fuzzer.js";

const SEED = 20_261_121;

describe("decoders under any bytes", () => {
  for (const [index, decoder] of decoders.entries()) {
    it(`keep their promises: ${decoder.name}`, () => {
      expect(corpusOf(decoder), "the kept corpus").to.not.have.lengthOf(0);
      const fuzzer = new Fuzzer(decoder, Random.at(SEED, index), undefined);
      fuzzer.round();
      expect(fuzzer.tried).to.be.greaterThan(100);
    }).timeout(30_000);
  }

  it("are judged: a decoder that throws another error is a fault, with its input", () => {
    const careless: Decoder = {
      name: "careless",
      seeds: [],
      run: (bytes) => {
        if (bytes[0] === 7) throw new TypeError("not declared");
      },
    };
    tryInput(careless, Buffer.of(6));
    const fault = (): void => tryInput(careless, Buffer.of(7));
    expect(fault).to.throw(Fault, "INPUT=Bw==").with.property("cause").instanceOf(TypeError);
  });
});
