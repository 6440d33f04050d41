/**
 * The 35 operations of FirecREST v2, each once: how it is called, whether it changes something, what it answers. The names
 * S1…F16 are those of the contract study. Paths are exact: the server answers a missing or extra slash with a redirect.
 */
import type { z } from "zod";
import * as wire from "./wire.ts";

export interface Operation<T = unknown> {
  route: string;
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Changes the far side: a lost answer leaves its effect unknown. */
  effect: boolean;
  answer: z.ZodType<T> | "bytes" | "nothing";
}

const read = <T>(route: string, answer: z.ZodType<T>): Operation<T> => ({
  route,
  method: "GET",
  effect: false,
  answer,
});
const write = <T>(method: "POST" | "PUT" | "DELETE", route: string, answer: z.ZodType<T>): Operation<T> => ({
  route,
  method,
  effect: true,
  answer,
});
/** Answers 204. */
const silent = (method: "POST" | "PUT" | "DELETE", route: string): Operation<void> => ({
  route,
  method,
  effect: true,
  answer: "nothing",
});

const status = "/status/{system}";
const jobs = "/compute/{system}/jobs";
const transfer = "/filesystem/{system}/transfer";
const ops = "/filesystem/{system}/ops";

/** Fields of the request are camelCase as of 2.4; main paths are `path`. */
export const OPERATIONS = {
  S1_systems: read("/status/systems", wire.Systems),
  S2_nodes: read(`${status}/nodes`, wire.Nodes),
  S3_reservations: read(`${status}/reservations`, wire.Reservations),
  S4_partitions: read(`${status}/partitions`, wire.Partitions),
  S5_userinfo: read(`${status}/userinfo`, wire.UserInfo),
  S6_liveness: read("/status/liveness/", wire.Liveness),

  J1_submit: write("POST", jobs, wire.SubmittedJob),
  J2_list: read(jobs, wire.Jobs),
  J3_get: read(`${jobs}/{id}`, wire.Jobs),
  J4_metadata: read(`${jobs}/{id}/metadata`, wire.JobMetadata),
  J5_attach: silent("PUT", `${jobs}/{id}/attach`),
  J6_cancel: silent("DELETE", `${jobs}/{id}`),

  T1_upload: write("POST", `${transfer}/upload`, wire.UploadStarted),
  T2_download: write("POST", `${transfer}/download`, wire.DownloadStarted),
  T3_move: write("POST", `${transfer}/mv`, wire.FileJobStarted),
  T4_copy: write("POST", `${transfer}/cp`, wire.FileJobStarted),
  T5_remove: write("DELETE", `${transfer}/rm`, wire.FileJobStarted),
  T6_compress: write("POST", `${transfer}/compress`, wire.FileJobStarted),
  T7_extract: write("POST", `${transfer}/extract`, wire.FileJobStarted),

  F1_ls: read(`${ops}/ls`, wire.FileList),
  F2_head: read(`${ops}/head`, wire.FileContent),
  F3_tail: read(`${ops}/tail`, wire.FileContent),
  F4_view: read(`${ops}/view`, wire.PlainText),
  F5_checksum: read(`${ops}/checksum`, wire.Checksum),
  F6_file: read(`${ops}/file`, wire.PlainText),
  F7_stat: read(`${ops}/stat`, wire.Stat),
  F8_rm: silent("DELETE", `${ops}/rm`),
  F9_mkdir: write("POST", `${ops}/mkdir`, wire.FileShown),
  F10_symlink: write("POST", `${ops}/symlink`, wire.FileShown),
  F11_chmod: write("PUT", `${ops}/chmod`, wire.FileShown),
  F12_chown: write("PUT", `${ops}/chown`, wire.FileShown),
  F13_download: { route: `${ops}/download`, method: "GET", effect: false, answer: "bytes" } as Operation<void>,
  F14_upload: silent("POST", `${ops}/upload`),
  F15_compress: silent("POST", `${ops}/compress`),
  F16_extract: silent("POST", `${ops}/extract`),
} as const;

/** The operation's word for logs and messages: its route without system and ids (`compute/jobs/metadata`). */
export const wordFor = ({ route }: Pick<Operation, "route">): string =>
  route.replace(/\/\{\w+\}/g, "").replace(/^\/|\/$/g, "");
