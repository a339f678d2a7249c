/**
 * The project's Markdown pages, and what stands in them: tables, links, headings, paths.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { packageFolder } from "../../infra/files/package-version.js";

export const root = packageFolder();

export interface Page {
  /** From the project's folder. */
  readonly path: string;
  readonly text: string;
}

export function page(path: string): Page {
  return { path, text: readFileSync(join(root, path), "utf8") };
}

/** Those in the project's folder, and all below docs/. */
export function allPages(): Page[] {
  const top = readdirSync(root).filter((name) => name.endsWith(".md"));
  const docs = readdirSync(join(root, "docs"), { recursive: true })
    .map((name) => join("docs", String(name)))
    .filter((name) => name.endsWith(".md"));
  return [...top, ...docs].sort().map(page);
}

/** Without code blocks and code in lines: what is a link there is none. */
function prose(text: string): string {
  return withoutBlocks(text).replaceAll(/`[^`\n]*`/g, "");
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```/gm, "");
}

/** Links to files and headings of the project, as they are written. */
export function relativeLinks({ text }: Page): string[] {
  const links = [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  return links.filter((link) => !/^[a-z]+:/.test(link));
}

/** Why the link leads nowhere; undefined if it leads somewhere. */
export function problemOfLink(from: Page, link: string): string | undefined {
  const [file = "", heading] = link.split("#");
  const target = file === "" ? from.path : relative(root, join(root, dirname(from.path), file));
  if (!existsSync(join(root, target))) return `${from.path}: there is no ${target}`;
  if (heading === undefined) return undefined;
  if (headingsOf(page(target)).includes(heading)) return undefined;
  return `${from.path}: ${target} has no heading ${heading}`;
}

/** What its headings say. */
export function titlesOf({ text }: Page): string[] {
  return [...withoutBlocks(text).matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) => title);
}

/** As GitHub names them in links. */
function headingsOf(page: Page): string[] {
  return titlesOf(page).map((title) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** Files and folders of ours that the page names in code, such as `actors/shard/replica.ts`. */
export function namedPaths({ text }: Page): string[] {
  const spans = [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  return spans.filter((span) => /^(actors|docs|infra|protocol|test)\/[\w./-]*$/.test(span));
}

/** The cells of all table rows under headings (of any level) below `heading`, head rows too. */
export function rowsUnder({ text }: Page, heading: string): string[][] {
  const lines = text.split("\n");
  const start = lines.indexOf(heading);
  if (start < 0) throw new Error(`there is no heading ${JSON.stringify(heading)}`);
  const level = heading.indexOf(" ");
  const isEnd = (line: string): boolean => /^#+ /.test(line) && line.indexOf(" ") <= level;
  const count = lines.slice(start + 1).findIndex(isEnd);
  const section = lines.slice(start + 1, count < 0 ? undefined : start + 1 + count);
  return section
    .filter((line) => line.startsWith("| ") && line.endsWith(" |"))
    .map((line) => line.slice(2, -2).split(" | "));
}
