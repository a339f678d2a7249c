/**
 * A logger that keeps its lines.
 */
import type { LogFields, Logger } from "../../infra/logger.js";

export interface NotedLine {
  readonly level: "error" | "info" | "debug";
  readonly message: string;
  readonly fields: LogFields | undefined;
}

export class NotedLogger implements Logger {
  readonly lines: NotedLine[] = [];

  error(message: string, fields?: LogFields): void {
    this.lines.push({ level: "error", message, fields });
  }

  info(message: string, fields?: LogFields): void {
    this.lines.push({ level: "info", message, fields });
  }

  debug(message: string, fields?: LogFields): void {
    this.lines.push({ level: "debug", message, fields });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Of one level, in order. */
  messages(level: NotedLine["level"]): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }
}
