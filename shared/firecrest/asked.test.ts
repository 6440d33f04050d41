import { expect, it } from "vitest";
import { askedOf } from "./asked.ts";

const script = (...lines: string[]) => ["#!/bin/bash", ...lines, "srun x"].join("\n");

it("what a job asks for stands in its request, else in its script, the last line winning", () => {
  const own = script("#SBATCH -p debug --mem=4G", "#SBATCH --partition=normal", "#SBATCH --time=1:30:00");
  expect(askedOf({ script: own })).toEqual({ partition: "normal", memoryMiB: 4096, timeLimitSeconds: 5400 });
  expect(askedOf({ script: own, resources: { partition: "long", memoryMiB: 9, timeLimitSeconds: 60 } })).toEqual({
    partition: "long",
    memoryMiB: 9,
    timeLimitSeconds: 60,
  });
});

it("memory is read as sbatch reads it, and what is no amount is none", () => {
  const memory = (text: string) => askedOf({ script: script(`#SBATCH --mem=${text}`) }).memoryMiB;
  expect(["512", "512M", "2g", "1T", "2048K", "1GB"].map(memory)).toEqual([512, 512, 2048, 1_048_576, 2, 1024]);
  expect(["0", "", "much", "-1", "4 G"].map(memory).slice(0, 4)).toEqual([undefined, undefined, undefined, undefined]);
  expect(askedOf({ script: script("#SBATCH --mem-per-cpu=2G") })).toEqual({});
  expect(askedOf({})).toEqual({});
});
