/** The version that package.json states, wherever the package is installed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "./nats-binary.js";

const text = readFileSync(join(packageFolder(), "package.json"), "utf8");
export const packageVersion: string = (JSON.parse(text) as { version: string }).version;
