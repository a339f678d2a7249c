/**
 * The kind of a file of records, by its first bytes: what can be read, and for what cannot, one
 * line that says what to do.
 *
 * Without this a packed or encoded file is thousands of rejected lines, none of which says why.
 * Only what is sure is refused here: a file of lines with a broken first line is still a file of
 * lines.
 */
/** Bytes at the beginning of a file that tell its kind. */
export const HEAD_BYTES = 64 * 1_024;

export interface Head {
  readonly bytes: Uint8Array;
  /** True if that is the whole file. */
  readonly isWhole: boolean;
}

export interface Wanted {
  /** For the advice: the file's name, or "-". */
  readonly file: string;
  /** The first name of the key's path in a record. */
  readonly keyName: string;
  /** True if an array within the file is named: the text around it may be anything. */
  readonly hasPath: boolean;
}

const magic = {
  gzip: [0x1f, 0x8b],
  zip: [0x50, 0x4b, 0x03, 0x04],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a],
  bzip2: [0x42, 0x5a, 0x68],
} as const;

const unpackers = {
  zip: "unzip -p",
  zstd: "zstd -dc",
  xz: "xz -dc",
  bzip2: "bzip2 -dc",
} as const;

export function isGzip({ bytes }: Head): boolean {
  return beginsWith(bytes, magic.gzip);
}

/** Why the file cannot be loaded, and what to do; undefined = nothing speaks against it. */
export function reasonAgainst(head: Head, wanted: Wanted): string | undefined {
  const against = againstBytes(head, wanted);
  return against ?? (wanted.hasPath ? undefined : againstText(head, wanted));
}

/** Packed, or not UTF-8. */
function againstBytes({ bytes }: Head, { file }: Wanted): string | undefined {
  for (const [kind, unpack] of Object.entries(unpackers)) {
    if (!beginsWith(bytes, magic[kind as keyof typeof unpackers])) continue;
    return `is packed (${kind}): unpack it on the way, ${unpack} ${file} | ringdex load -`;
  }
  const advice = `iconv -f UTF-16 -t UTF-8 ${file} | ringdex load -`;
  const isMarked = beginsWith(bytes, [0xff, 0xfe]) || beginsWith(bytes, [0xfe, 0xff]);
  const isHalfZero = bytes.length >= 4 && (bytes[0] === 0) !== (bytes[1] === 0);
  if (isMarked || (isHalfZero && (bytes[2] === 0) !== (bytes[3] === 0))) {
    return `is UTF-16, not UTF-8: ${advice}`;
  }
  return undefined;
}

/** CSV, or JSON that is neither one record a line nor an array. */
function againstText({ bytes, isWhole }: Head, wanted: Wanted): string | undefined {
  const text = Buffer.from(bytes)
    .toString()
    .replace(/^\ufeff/, "")
    .trimStart();
  if (text === "" || text.startsWith("[")) return undefined;
  const lineEnd = text.indexOf("\n");
  const line = (lineEnd < 0 ? text : text.slice(0, lineEnd)).trim();
  if (!text.startsWith("{")) {
    const isCsv = /[,;\t]/.test(line) && !isJson(line.replace(/,$/, ""));
    const advice = "make each row a JSON object on a line of its own, and name its key with --key";
    return isCsv ? `looks like CSV: ${advice}` : undefined;
  }
  const isOne = lineEnd < 0 || text.slice(lineEnd).trim() === "";
  const isLine = isJson(line.replace(/,$/, ""));
  if (isLine && !(isOne && isWhole)) return undefined;
  // A long line, or the only one: a record, unless it has no key and wraps others.
  const wrapping = wrapperOf(text, wanted.keyName);
  if (wrapping !== undefined) {
    return `is one object around an array: name the array's member, --path ${wrapping}`;
  }
  if (isLine || lineEnd < 0 || !isOpen(line)) return undefined;
  const advice = `jq -c . ${wanted.file} | ringdex load -`;
  return `has JSON over several lines, and one record a line or one array is wanted: ${advice}`;
}

function beginsWith(bytes: Uint8Array, start: readonly number[]): boolean {
  return bytes.length >= start.length && start.every((byte, index) => bytes[index] === byte);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** True if brackets are open at its end: the JSON goes on in the next line. */
function isOpen(line: string): boolean {
  const outside = line.replace(/"(?:\\.|[^"\\])*"/g, "");
  // No text of JSON has a line end within.
  if (outside.includes('"')) return false;
  const brackets = outside.replace(/[^[\]{}]/g, "");
  const opened = brackets.replace(/[\]}]/g, "").length;
  return opened > brackets.length - opened;
}

/**
 * The member of an object that is an array of objects, unless the object has the key's member and
 * so is a record. Undefined = there is none in what is known of it.
 */
function wrapperOf(text: string, keyName: string): string | undefined {
  const members = outerMembers(text);
  if (members.has(keyName)) return undefined;
  for (const [name, at] of members) {
    if (/^\[\s*\{/.test(text.slice(at, at + 1_000))) return name.replace(/[.\\]/g, "\\$&");
  }
  return undefined;
}

/** Members of the object that a text begins with, as far as it goes: where their values begin. */
function outerMembers(text: string): ReadonlyMap<string, number> {
  const members = new Map<string, number>();
  let depth = 0;
  for (const match of text.matchAll(/"((?:\\.|[^"\\])*)"(\s*:\s*)?|[[\]{}]/g)) {
    const [token, name, colon] = match;
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth -= 1;
    else if (depth === 1 && colon !== undefined)
      members.set(name ?? "", match.index + token.length);
    if (depth === 0) break;
  }
  return members;
}
