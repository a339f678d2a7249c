/**
 * `make structure`: prints how the sources of each folder import one another, and lines of code.
 * structure.ts says what the columns mean. Ends with 1 if files import one another in a circle.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { renderTable } from "../../../infra/cli/table.js";
import { packageFolder } from "../../../infra/files/package-version.js";
import { arrowsOf, fileCircles, structureOf } from "./structure.js";

const root = packageFolder();
/** Folders to look at; what they import of others does not count. */
const folders = process.argv.length > 2 ? process.argv.slice(2) : ["protocol", "infra", "actors"];

const files = folders.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .map((name) => `${folder}/${String(name)}`)
    .filter((name) => name.endsWith(".ts")),
);
const texts = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));
const arrows = [...texts].flatMap(([file, text]) => arrowsOf(file, text));
const linesBelow = (folder: string): number =>
  [...texts]
    .filter(([file]) => file.startsWith(`${folder}/`))
    .reduce((sum, [, text]) => sum + text.split("\n").length - 1, 0);

const heads = ["rooms", "floors", "imports", "backwards", "lines"];
const rows = structureOf(files, arrows).map((each) => [
  each.folder,
  each.roomCount,
  each.floorCount,
  each.importCount,
  each.backwardsCount,
  linesBelow(each.folder),
]);
const columns = [{ head: "folder" }, ...heads.map((head) => ({ head, isNumber: true }))];
process.stdout.write(renderTable(columns, rows, process.stdout.columns));
const circles = fileCircles(arrows);
for (const circle of circles) process.stdout.write(`circle: ${circle.join(", ")}\n`);
const lines = folders.reduce((sum, folder) => sum + linesBelow(folder), 0);
process.stdout.write(`${files.length} files, ${lines} lines, ${circles.length} circles\n`);
process.exitCode = circles.length === 0 ? 0 : 1;
