import { describe, expect, it } from "vitest";
import { arraySizeOf, optionOf, parseTimeLimit, readHeader, timeLimitOf } from "./header.ts";

const script = (...lines: string[]) => ["#!/bin/bash -l", ...lines, ""].join("\n");

describe("the header of a script", () => {
  it("ends before the first line that is neither blank nor a comment", () => {
    const header = readHeader(script("# note", "", "  # indented", "#SBATCH -n 1", "echo hi", "#SBATCH -n 2"));
    expect(header.length).toBe(5);
    expect(header.directives.map((d) => d.line)).toEqual([5]);
  });

  it("counts #SBATCH only at column 0 and as a whole word", () => {
    const header = readHeader(
      script(" #SBATCH -n 1", "##SBATCH -n 2", "#SBATCHX", "#sbatch -n 3", "#SBATCH", "#SBATCH\t-n 4"),
    );
    expect(header.directives.map((d) => d.line)).toEqual([6, 7]);
  });

  it("is the whole of a script that has no command", () => {
    expect(readHeader("#!/bin/sh\n# end").length).toBe(2);
  });

  it("knows #PBS and #BSUB lines, which sbatch reads as well", () => {
    expect(readHeader(script("#PBS -N a", "#BSUB -J b")).foreign).toHaveLength(2);
  });

  it.each([
    ["#!/bin/bash -l", "bash", true],
    ["#! /bin/bash --login", "bash", true],
    ["#!/bin/bash -el", "bash", true],
    ["#!/bin/sh", "sh", false],
    ["#!/usr/bin/env python3", "python3", false],
    ["#!/usr/bin/env -S bash -l", "bash", true],
    ["#!/usr/bin/env FOO=1 bash", "bash", false],
    ["echo", "", false],
    ["#!", "", false],
  ])("names the interpreter of %s", (line, name, login) => {
    expect(readHeader(`${line}\n`).interpreter).toEqual({ name, login });
  });

  it("gives an option's last value, however it is written", () => {
    const of = (...lines: string[]) => optionOf(readHeader(script(...lines)), "--job-name", "-J");
    expect(of("#SBATCH --job-name=a", "#SBATCH -J b")).toBe("b");
    expect(of("#SBATCH -Jc")).toBe("c");
    expect(of('#SBATCH --job-name "two words" -n 1')).toBe("two words");
    expect(of("#SBATCH -n 1 # --job-name=no")).toBeUndefined();
    expect(of("#SBATCH --job-name-x=no")).toBeUndefined();
  });
});

describe("an array", () => {
  it.each([
    ["--array=0-15%4", 16],
    ["-a 1,3,5-7", 5],
    ["--array=0-10:5", 3],
    ["--array=7", 1],
    ["--array=1-3,2-4", 4],
    ["--array=3-1", undefined],
    ["--array=x", undefined],
    ["--nodes=1", undefined],
  ])("of #SBATCH %s has %s elements", (option, size) => {
    expect(arraySizeOf(script(`#SBATCH ${option}`))).toBe(size);
  });
});

describe("an array of absurd size", () => {
  it("costs neither time nor memory", () => {
    const startedAt = performance.now();
    expect(
      arraySizeOf(script(`#SBATCH --array=${Array.from({ length: 10_000 }, () => "0-4000000").join(",")}`)),
    ).toBeGreaterThan(1e9);
    expect(arraySizeOf(script("#SBATCH --array=0-9999999"))).toBeUndefined();
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });
});

describe("a time limit", () => {
  it.each([
    ["10", 600],
    ["10:30", 630],
    ["1:00:05", 3_605],
    ["2-3", 183_600],
    ["2-3:4", 183_840],
    ["1-01:01:01", 90_061],
    ["UNLIMITED", undefined],
    ["0", undefined],
    ["-1", undefined],
    ["", undefined],
    ["1:2:3:4", undefined],
  ])("of %s is %s seconds", (text, seconds) => {
    expect(parseTimeLimit(text)).toBe(seconds);
  });

  it("is taken from the last line that gives one", () => {
    expect(timeLimitOf(script("#SBATCH --time=1", "#SBATCH -t 5:00"))).toBe(300);
    expect(timeLimitOf(script("echo", "#SBATCH --time=1"))).toBeUndefined();
  });
});
