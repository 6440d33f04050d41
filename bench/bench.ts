/** What a benchmark is, and what it may be asked for on the command line. */
import type { Table } from "./table.ts";

export interface BenchOptions {
  /** Size of the file that is moved, in bytes. */
  bytes: number | undefined;
  /** How often each row is measured; the median is told. */
  runs: number | undefined;
  /** How long others are run for real, in seconds. */
  seconds: number | undefined;
  /** The largest number of jobs or requests that is tried. */
  most: number | undefined;
}

export interface Bench {
  name: string;
  run(options: BenchOptions): Promise<Table>;
}

export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;
