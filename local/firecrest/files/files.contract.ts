/** What the files of every host must do. */
import { describe, expect, it } from "vitest";
import { complaint, decode, readText, type Subject, text, withHost } from "../host.subject.ts";

export function filesContract(name: string, start: () => Promise<Subject>): void {
  const within = withHost(start);
  describe(`files of the ${name}`, () => {
    it(
      "are written, listed, read and removed",
      within(async ({ directory, user }, { files }) => {
        await files.write(`${directory}/b.txt`, text("one\ntwo\nthree\n"));
        await files.write(`${directory}/.hidden`, text(""));
        await files.mkdir(`${directory}/a`);
        await files.write(`${directory}/a/inner`, text("x"));
        const names = async (options = {}) => (await files.list(directory, options)).map((entry) => entry.name);
        expect(await names()).toEqual(["a", "b.txt"]);
        expect(await names({ hidden: true })).toEqual([".hidden", "a", "b.txt"]);
        expect(await names({ recursive: true })).toEqual(["a", "b.txt", "a/inner"]);
        const [entry] = await files.list(`${directory}/b.txt`);
        expect(entry).toMatchObject({
          name: `${directory}/b.txt`,
          kind: "-",
          size: 14,
          permissions: "rw-r--r--",
          user: { name: user },
        });
        expect((await files.stat(`${directory}/b.txt`)).mode).toBe(0o100644);
        await files.remove(`${directory}/a`);
        expect(await names()).toEqual(["b.txt"]);
      }),
    );

    it(
      "are cut by lines and bytes as head and tail do",
      within(async ({ directory }, { files }) => {
        const path = `${directory}/lines`;
        await files.write(path, text("one\ntwo\nthree\nfour"));
        expect(decode(await files.head(path, { lines: "2" }))).toBe("one\ntwo\n");
        expect(decode(await files.head(path, { lines: "1", skip: true }))).toBe("one\ntwo\nthree\n");
        expect(decode(await files.head(path, { bytes: "5" }))).toBe("one\nt");
        expect(decode(await files.tail(path, { lines: "2" }))).toBe("three\nfour");
        expect(decode(await files.tail(path, { lines: "3", skip: true }))).toBe("three\nfour");
        expect(decode(await files.tail(path, { bytes: "4" }))).toBe("four");
        expect(decode(await files.tail(path, { bytes: "9", skip: true }))).toBe("three\nfour");
        expect(decode(await files.tail(path))).toBe("one\ntwo\nthree\nfour");
        expect(await complaint(files.head(path, { bytes: "abc" }))).toBe("head: invalid number of bytes: 'abc'");
      }),
    );

    it(
      "give their SHA-256 and their type",
      within(async ({ directory }, { files }) => {
        await files.write(`${directory}/f`, text("abc"));
        expect(await files.checksum(`${directory}/f`)).toBe(
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        );
        expect(await files.fileType(`${directory}/f`)).toBe("ASCII text");
        expect(await files.fileType(directory)).toBe("directory");
      }),
    );

    it(
      "are copied, moved and linked",
      within(async ({ directory }, seat) => {
        const { files } = seat;
        await files.mkdir(`${directory}/d/e`, { parents: true });
        await files.write(`${directory}/d/e/f`, text("content"), { mode: 0o600 });
        await files.symlink("e/f", `${directory}/d/link`);
        await files.copy(`${directory}/d`, `${directory}/copy`);
        expect(
          (await files.list(`${directory}/copy`, { recursive: true })).map(
            ({ name, kind, linkTarget }) => `${kind}${name}${linkTarget}`,
          ),
        ).toEqual(["de", "llinke/f", "-e/f"]);
        expect((await files.stat(`${directory}/copy/e/f`)).mode & 0o777).toBe(0o600);
        await files.mkdir(`${directory}/into`);
        await files.move(`${directory}/copy`, `${directory}/into`);
        expect(await readText(seat, `${directory}/into/copy/link`)).toBe("content");
        expect(await complaint(files.stat(`${directory}/copy`))).toContain("No such file or directory");
        expect(await complaint(files.move(`${directory}/into`, `${directory}/into/copy/x`))).toContain(
          "subdirectory of itself",
        );
      }),
    );

    it(
      "get a directory with its parents from several that make it at once",
      within(async ({ directory }, { files }) => {
        const paths = Array.from({ length: 8 }, (_, n) => `${directory}/new/deep/${n}`);
        await Promise.all(paths.map((path) => files.mkdir(path, { parents: true })));
        expect(await files.list(`${directory}/new/deep`)).toHaveLength(paths.length);
      }),
    );

    it(
      "survive a tar of themselves",
      within(async ({ directory }, seat) => {
        const { files } = seat;
        const long = `${"deep".repeat(30)}/${"name".repeat(20)}`;
        await files.mkdir(`${directory}/t/${long}`, { parents: true });
        await files.write(`${directory}/t/${long}/ü`, text("content"), { mode: 0o750 });
        await files.write(`${directory}/t/big`, new Uint8Array(100_000).fill(7));
        await files.symlink("big", `${directory}/t/link`);
        for (const compression of ["none", "gzip"] as const) {
          await files.compress(`${directory}/t`, `${directory}/t.tar`, { compression });
          await files.mkdir(`${directory}/out-${compression}`);
          await files.extract(`${directory}/t.tar`, `${directory}/out-${compression}`, { format: compression });
          expect(await readText(seat, `${directory}/out-${compression}/t/${long}/ü`)).toBe("content");
          expect(await files.checksum(`${directory}/out-${compression}/t/link`)).toBe(
            await files.checksum(`${directory}/t/big`),
          );
          expect((await files.stat(`${directory}/out-${compression}/t/${long}/ü`)).mode & 0o777).toBe(0o750);
        }
      }),
    );

    it(
      "fail in the words of the tools",
      within(async ({ directory, forbidden }, { files }) => {
        const missing = `${directory}/missing`;
        const nowhere = "No such file or directory";
        expect(await complaint(files.list(missing))).toBe(`ls: cannot access '${missing}': ${nowhere}`);
        expect(await complaint(files.list(forbidden))).toBe(
          `ls: cannot open directory '${forbidden}': Permission denied`,
        );
        expect(await complaint(files.stat(missing))).toBe(`stat: cannot statx '${missing}': ${nowhere}`);
        expect(await complaint(files.mkdir(`${missing}/x`))).toBe(
          `mkdir: cannot create directory '${missing}/x': ${nowhere}`,
        );
        expect(await complaint(files.mkdir(directory))).toBe(
          `mkdir: cannot create directory '${directory}': File exists`,
        );
        expect(await complaint(files.mkdir(`${forbidden}/x`))).toBe(
          `mkdir: cannot create directory '${forbidden}/x': Permission denied`,
        );
        expect(await complaint(files.remove(missing))).toBe(`rm: cannot remove '${missing}': ${nowhere}`);
        expect(await complaint(files.move(missing, directory))).toBe(`mv: cannot stat '${missing}': ${nowhere}`);
        expect(await complaint(files.copy(missing, directory))).toBe(`cp: cannot stat '${missing}': ${nowhere}`);
        expect(await complaint(files.head(missing))).toBe(`head: cannot open '${missing}' for reading: ${nowhere}`);
        expect(await complaint(files.head(directory))).toBe(`head: error reading '${directory}': Is a directory`);
        expect(await complaint(files.checksum(directory))).toBe(`sha256sum: ${directory}: Is a directory`);
        expect(await complaint(files.read(missing, {}, "base64"))).toBe(`base64: ${missing}: ${nowhere}`);
        expect(await complaint(files.write(`${missing}/x`, text("")))).toBe(`bash: line 1: ${missing}/x: ${nowhere}`);
        expect(await complaint(files.chmod(directory, "999"))).toContain("chmod: invalid mode: '999'");
        expect(await complaint(files.chown(directory, { owner: "nosuch" }))).toBe("chown: invalid spec: 'nosuch:'");
        await files.write(`${directory}/taken`, text(""));
        const taken = `ln: failed to create symbolic link '${directory}/taken': File exists`;
        expect(await complaint(files.symlink("x", `${directory}/taken`))).toBe(taken);
      }),
    );

    it(
      "obey their permissions",
      within(async ({ directory, host, other }, { files }) => {
        await files.write(`${directory}/secret`, text("s"));
        expect(await files.chmod(`${directory}/secret`, "000")).toBe(
          `mode of '${directory}/secret' changed from 0644 (rw-r--r--) to 0000 (---------)`,
        );
        expect(await complaint(files.read(`${directory}/secret`))).toBe(`cat: ${directory}/secret: Permission denied`);
        expect(await complaint(files.require("readable file", `${directory}/secret`))).toContain("Permission denied");
        await files.chmod(`${directory}/secret`, "u+r");
        await files.require("readable file", `${directory}/secret`);
        const stranger = await host.as(other);
        expect(await complaint(stranger.files.write(`${directory}/theirs`, text("x")))).toContain("Permission denied");
        expect(await complaint(stranger.files.chmod(`${directory}/secret`, "777"))).toContain("not permitted");
      }),
    );

    it(
      "cannot be left by dots or links",
      within(async ({ directory, forbidden }, { files }) => {
        await files.symlink(forbidden, `${directory}/out`);
        await files.symlink("/", `${directory}/top`);
        for (const path of [
          `${directory}/out/x`,
          `${directory}/top${forbidden}/x`,
          `${directory}${"/..".repeat(20)}${forbidden}/x`,
        ]) {
          expect(await complaint(files.write(path, text("x")))).toContain("Permission denied");
          expect(await complaint(files.mkdir(path))).toContain("Permission denied");
          expect(await complaint(files.read(path))).toContain("Permission denied");
          expect(await complaint(files.stat(path))).toContain("Permission denied");
        }
        await files.write(`${directory}/f`, text("f"));
        expect(await complaint(files.copy(`${directory}/f`, `${directory}/out/f`))).toContain("Permission denied");
        expect(await complaint(files.move(`${directory}/f`, `${directory}/out/f`))).toContain("Permission denied");
        await files.symlink("loop", `${directory}/loop`);
        expect(await complaint(files.read(`${directory}/loop`))).toContain("Too many levels of symbolic links");
        await files.remove(`${directory}/out`);
      }),
    );
  });
}
