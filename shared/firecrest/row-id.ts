/** Job ids as sites show them: one string that may stand for a job, a part of one, or many parts of one. */

export type RowPart =
  /** The job itself; for an array that accounting does not know yet, one of its elements. */
  | { kind: "whole" }
  /** Array elements: one index, or the waiting rest as a list of ranges. `count` of them. */
  | { kind: "elements"; index?: number; count: number }
  /** Component of a heterogeneous job. */
  | { kind: "component"; index: number };

export interface RowId {
  /** The id that the whole job has. */
  base: string;
  part: RowPart;
}

const SLURM_ARRAY = /^([A-Za-z0-9]+)_(?:(\d+)|\[([\d,:-]+)(?:%\d+)?\])$/;
const PBS_ARRAY = /^([A-Za-z0-9]+)\[(\d*)\]$/;
const COMPONENT = /^([A-Za-z0-9]+)\+(\d+)$/;

/** Reads `88`, `88_3`, `88_[4-10%2]`, `12+0`, `123[]`, `123[7]`. Anything else is a whole job under its own id. */
export function parseRowId(id: string): RowId {
  const slurm = SLURM_ARRAY.exec(id);
  if (slurm?.[1] !== undefined) {
    const base = slurm[1];
    if (slurm[2] !== undefined) return { base, part: { kind: "elements", index: Number(slurm[2]), count: 1 } };
    return { base, part: { kind: "elements", count: countIndices(slurm[3] ?? "") } };
  }
  const pbs = PBS_ARRAY.exec(id);
  if (pbs?.[1] !== undefined) {
    const base = pbs[1];
    if (!pbs[2]) return { base, part: { kind: "whole" } };
    return { base, part: { kind: "elements", index: Number(pbs[2]), count: 1 } };
  }
  const component = COMPONENT.exec(id);
  if (component?.[1] !== undefined) {
    return { base: component[1], part: { kind: "component", index: Number(component[2]) } };
  }
  return { base: id, part: { kind: "whole" } };
}

/** How many indices `1-3,7,10-20:5` holds. */
function countIndices(ranges: string): number {
  let total = 0;
  for (const range of ranges.split(",")) {
    const match = /^(\d+)(?:-(\d+)(?::(\d+))?)?$/.exec(range);
    if (!match) continue;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    total += Math.floor(Math.max(0, last - first) / Math.max(1, Number(match[3] ?? 1))) + 1;
  }
  return total;
}
