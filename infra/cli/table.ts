/**
 * Tables and lines for people: cut to the terminal, and safe to show on one.
 *
 * Keys and values are anybody's bytes. What a terminal would obey instead of showing (escape
 * sequences, line ends) is written as JSON writes it. Nothing is cut where no terminal looks, so
 * that `ringdex find … | grep` sees all there is.
 *
 * Not cli-table3: it takes the marks of Devanagari, Arabic or Thai for places of their own, so that
 * columns beside names in these scripts do not line up.
 */
/** Between two columns. */
const GAP = "  ";
/** A column is not made narrower than this, however little room there is. */
const COLUMN_CHARS_MIN = 4;
const ELLIPSIS = "…";

export interface Column {
  readonly head: string;
  /** Numbers stand at the right. */
  readonly isNumber?: boolean;
}

export type Cell = string | number | boolean | null | undefined;

/** Lines, each ended. `columns`: characters of the terminal, undefined = no terminal. */
export function renderTable(
  heads: readonly Column[],
  rows: readonly (readonly Cell[])[],
  columns: number | undefined,
): string {
  const cells = rows.map((row) => heads.map((_, index) => textOfCell(row[index])));
  const all = [heads.map(({ head }) => head), ...cells];
  const natural = heads.map((_, index) =>
    Math.max(...all.map((row) => displayWidth(row[index] ?? ""))),
  );
  // A number is not cut: what is left of it would be another number.
  const least = heads.map(({ isNumber }, index) => {
    if (isNumber !== true) return COLUMN_CHARS_MIN;
    return Math.max(COLUMN_CHARS_MIN, ...cells.map((row) => displayWidth(row[index] ?? "")));
  });
  const widths = columns === undefined ? natural : fitted(natural, columns, least);
  const lines = all.map((row) => {
    const padded = row.map((text, index) => {
      const width = widths[index] ?? 0;
      const cut = cutTo(text, width);
      const pad = " ".repeat(Math.max(width - displayWidth(cut), 0));
      return heads[index]?.isNumber === true ? pad + cut : cut + pad;
    });
    return `${padded.join(GAP).trimEnd()}\n`;
  });
  return lines.join("");
}

/**
 * Widths that fit: the widest column gives first, so that narrow ones (numbers, states) stay whole.
 * None gets narrower than its `least`. If it is still too wide then, the terminal wraps.
 */
export function fitted(
  natural: readonly number[],
  columns: number,
  least: readonly number[] = [],
): number[] {
  const widths = [...natural];
  const gaps = GAP.length * Math.max(widths.length - 1, 0);
  const leastOf = (index: number): number => least[index] ?? COLUMN_CHARS_MIN;
  let excess = widths.reduce((sum, width) => sum + width, gaps) - columns;
  while (excess > 0) {
    const giving = widths.map((width, index) => (width > leastOf(index) ? width : 0));
    const widest = Math.max(...giving);
    if (widest <= 0) break;
    const index = giving.lastIndexOf(widest);
    const next = Math.max(leastOf(index), ...giving.filter((_, other) => other !== index));
    // At least one, so that columns of equal width give in turn.
    const cut = Math.max(1, Math.min(excess, widest - next));
    widths[index] = widest - cut;
    excess -= cut;
  }
  return widths;
}

/** A line for the terminal, without its end. */
export function lineFor(text: string, columns: number | undefined): string {
  const shown = printable(text);
  return columns === undefined ? shown : cutTo(shown, columns);
}

// Controls, and the marks that turn the direction of what follows.
const obeyed = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f]/gu;

/** What a terminal would obey, as JSON's escapes. */
export function printable(text: string): string {
  return text.replace(obeyed, (character) => {
    const json = JSON.stringify(character).slice(1, -1);
    if (json !== character) return json;
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** The text, or as much as fits with an ellipsis at its end. */
export function cutTo(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let cut = "";
  let left = width - ELLIPSIS.length;
  for (const character of text) {
    left -= characterWidth(character);
    if (left < 0) break;
    cut += character;
  }
  return width < ELLIPSIS.length ? "" : cut + ELLIPSIS;
}

/** Places the text takes on a terminal. */
export function displayWidth(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

const withoutWidth = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
// East Asian wide and full-width blocks, and pictures.
const wide = new RegExp(
  "^[\\u1100-\\u115f\\u2e80-\\u303e\\u3041-\\ua4cf\\uac00-\\ud7a3\\uf900-\\ufaff" +
    "\\ufe30-\\ufe6f\\uff00-\\uff60\\uffe0-\\uffe6\\u{1f200}-\\u{1faff}\\u{20000}-\\u{3fffd}]$",
  "u",
);

function characterWidth(character: string): number {
  if (withoutWidth.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}

function textOfCell(cell: Cell): string {
  return cell === undefined || cell === null ? "" : printable(String(cell));
}

/** A value for a cell or a line: text as it is, all else as JSON. */
export function shownValue(value: unknown): string {
  if (value === undefined) return "";
  if (value instanceof Uint8Array) return `(${value.length} bytes)`;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** 1234567 → "1.2 MiB". */
export function shownBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]}`;
}
