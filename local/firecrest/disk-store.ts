/**
 * Records on disk: a log of changes, one JSON line each, written before `set` returns. It is rewritten without its history
 * when it is opened and whenever the history outgrows the records. A line that a crash cut off is dropped.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { type Store, storeOver } from "./store.ts";

const MIN_HISTORY_LINES = 20_000;
const HISTORY_PER_RECORD = 4;

interface Line {
  key: string;
  /** Absent = deleted. */
  value?: unknown | undefined;
}

/** Opens or creates the log at `path`. One process at a time. */
export function diskStore(path: string): Store & { close(): void } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const records = readLog(path);
  rewrite(path, records);
  let log = openSync(path, "a", 0o600);
  let changes = 0;
  const append = (line: Line) => {
    writeSync(log, `${JSON.stringify(line)}\n`);
    if (++changes < MIN_HISTORY_LINES || changes < HISTORY_PER_RECORD * records.size) return;
    closeSync(log);
    rewrite(path, records);
    log = openSync(path, "a", 0o600);
    changes = 0;
  };

  return { ...storeOver(records, (key, value) => append({ key, value })), close: () => closeSync(log) };
}

function readLog(path: string): Map<string, string> {
  const records = new Map<string, string>();
  if (!existsSync(path)) return records;
  for (const text of readFileSync(path, "utf8").split("\n")) {
    const line = parseLine(text);
    if (line === undefined) continue;
    if (line.value === undefined) records.delete(line.key);
    else records.set(line.key, JSON.stringify(line.value));
  }
  return records;
}

function parseLine(text: string): Line | undefined {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as Line;
  } catch {
    return undefined;
  }
}

/** Replaces the log by one without history, atomically. */
function rewrite(path: string, records: Map<string, string>): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, "w", 0o600);
  for (const [key, value] of records) writeSync(file, `{"key":${JSON.stringify(key)},"value":${value}}\n`);
  fsyncSync(file);
  closeSync(file);
  renameSync(temporary, path);
}
