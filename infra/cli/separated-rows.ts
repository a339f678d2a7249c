/**
 * Found items as rows of cells, and as separated values for other programs.
 *
 *   csv   RFC 4180, with line ends of one byte: a cell with a comma, a quote or a line end stands
 *         in quotes, and its quotes twice
 *   tsv   nothing is quoted; a tab, a line end and a backslash in a cell are \t, \n, \r, \\
 *
 * A cell is a text without quotes, or other JSON as it is stored, or base64 for raw bytes.
 * An empty one = there is no such attribute. Nothing is escaped for a terminal:
 * what other programs read is the data themselves.
 */
import { splitPath } from "../../protocol/value/attribute-path.js";
import type { FoundItem } from "./found-pages.js";
import type { Cell, Column } from "./table.js";

export interface RowsFlags {
  readonly csv?: true;
  readonly tsv?: true;
  /** False = `--no-headers`. */
  readonly headers?: boolean;
  readonly select?: readonly string[];
}

/** A column for each selected attribute behind the key; without a selection the whole value. */
export function rowsOf(
  items: readonly FoundItem[],
  select: readonly string[] | undefined,
  shownBytes: (base64: string) => string = countOfBytes,
): { readonly heads: readonly Column[]; readonly rows: readonly (readonly Cell[])[] } {
  if (select === undefined) {
    const heads = [{ head: "key" }, { head: "revision", isNumber: true }, { head: "value" }];
    const rows = items.map((item) => [item.key, item.revision, shownItem(item, shownBytes)]);
    return { heads, rows };
  }
  const paths = select.map(splitPath);
  const cells = items.map(({ value }) => paths.map((names) => value?.attribute(names)));
  const heads: Column[] = [{ head: "key" }];
  for (const [index, head] of select.entries()) {
    heads.push({ head, isNumber: cells.every((row) => row[index]?.isNumber !== false) });
  }
  const rows = items.map(({ key }, row) => [key, ...(cells[row] ?? []).map((cell) => cell?.shown)]);
  return { heads, rows };
}

function shownItem(
  { value, base64 }: FoundItem,
  shownBytes: (base64: string) => string,
): string | undefined {
  return base64 === undefined ? value?.shown : shownBytes(base64);
}

function countOfBytes(base64: string): string {
  return `(${Buffer.byteLength(base64, "base64")} bytes)`;
}

/** Lines for a page, the names of the columns before the first; undefined = not asked for. */
export function separatedOf(
  items: readonly FoundItem[],
  { csv, tsv, headers, select }: RowsFlags,
  isFirst: boolean,
): string | undefined {
  if (csv !== true && tsv !== true) return undefined;
  const { heads, rows } = rowsOf(items, select, (base64) => base64);
  const names = heads.map(({ head }) => head);
  const all = isFirst && headers !== false ? [names, ...rows] : rows;
  const [cellOf, separator] = csv === true ? [csvCell, ","] : [tsvCell, "\t"];
  return all.map((row) => `${row.map(cellOf).join(separator)}\n`).join("");
}

function csvCell(cell: Cell): string {
  const text = textOf(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const tsvEscapes: Readonly<Record<string, string>> = {
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
  "\\": "\\\\",
};

function tsvCell(cell: Cell): string {
  return textOf(cell).replace(/[\t\n\r\\]/g, (character) => tsvEscapes[character] ?? character);
}

function textOf(cell: Cell): string {
  return cell === undefined || cell === null ? "" : String(cell);
}
