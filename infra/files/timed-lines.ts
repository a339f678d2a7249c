/**
 * Lines that begin with the time: for a file that is read days later, and back for a person who
 * reads them now.
 */

const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z /;

/** Whole lines, each with the time of writing in front. */
export function withTimes(text: string): string {
  const time = new Date().toISOString();
  return text.replaceAll(/^(?=.)/gm, `${time} `);
}

/** One line without its time, if it has one. */
export function withoutTime(line: string): string {
  return line.replace(TIME, "");
}
