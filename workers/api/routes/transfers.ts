/** Transfers: one file between an HPC path and an object. */
import { OpenReceipt } from "../../../shared/contract/receipt.ts";
import { Transfer, TransferRequest, TransfersQuery } from "../../../shared/contract/transfer.ts";
import { pageOf, z } from "../../../shared/contract/words.ts";
import { given, json } from "../answers.ts";
import type { Call, Routes } from "../endpoint.ts";
import { EXAMPLE } from "../examples.ts";

const tag = "Transfers";
const transfers = "/v1/connections/{c}/transfers";
const transfer = `${transfers}/{id}` as const;
const accepted = {
  description: "Accepted: written down, and on its way.",
  schema: Transfer,
  example: EXAMPLE.transfer,
  headers: { Location: "Where the transfer is read." },
};

export function transferRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "startTransfer",
      method: "post",
      path: transfers,
      tag,
      summary: "Move a file",
      description:
        "`download` is from the HPC side to object storage, `upload` the other way, from an object or a URL. Nothing appears under its key before it is proven to be the file.",
      scope: "transfers:write",
      body: TransferRequest,
      bodyExample: EXAMPLE.transferRequest,
      repeatable: true,
      answers: { 202: accepted },
    },
    async ({ tracker, caller, connection, body, origin, idempotency }) => {
      const { transfer: made, replayed } = given(
        await tracker.acceptTransfer(caller, body, idempotency === undefined ? { origin } : { origin, idempotency }),
      );
      return acceptedTransfer(connection, made, replayed);
    },
  );

  guarded(
    {
      id: "listTransfers",
      method: "get",
      path: transfers,
      tag,
      summary: "Transfers, newest first",
      scope: "transfers:read",
      query: TransfersQuery,
      answers: { 200: { description: "A page of transfers.", schema: pageOf(Transfer) } },
    },
    async ({ tracker, caller, query }) => json(200, given(await tracker.transfers(caller, query))),
  );

  guarded(
    {
      id: "getTransfer",
      method: "get",
      path: transfer,
      tag,
      summary: "One transfer",
      scope: "transfers:read",
      answers: { 200: { description: "The transfer as it is.", schema: Transfer, example: EXAMPLE.transfer } },
    },
    async ({ tracker, caller, params }) => json(200, given(await tracker.transfer(caller, params.id))),
  );

  guarded(
    {
      id: "getReceipt",
      method: "get",
      path: `${transfer}/receipt`,
      tag,
      summary: "A signed receipt of a stored transfer",
      description:
        "A compact JWS over path, key, sizes, hashes, proof, times and what became of the staged links. Verify it offline with the connection's public keys (`/.well-known/webhook-keys/{c}`); its header has `typ: firewatch-receipt+jws`. With `Accept: application/json` also decoded.",
      scope: "transfers:read",
      answers: {
        200: {
          description: "The receipt as of now.",
          schema: z.string(),
          contentType: "application/jose",
          also: { "application/json": OpenReceipt },
          headers: { Vary: "Accept" },
        },
        409: { description: "The transfer is not stored." },
      },
    },
    async ({ tracker, caller, params, request }) => {
      const made = given(await tracker.receipt(caller, params.id));
      const wantsJson = /application\/json/i.test(request.headers.get("accept") ?? "");
      if (wantsJson) return json(200, made, { vary: "accept" });
      return new Response(made.jws, { headers: { "content-type": "application/jose", vary: "accept" } });
    },
  );

  guarded(
    {
      id: "cancelTransfer",
      method: "post",
      path: `${transfer}/cancel`,
      tag,
      summary: "Cancel a transfer",
      description: "What was staged is released as after every other end.",
      scope: "transfers:write",
      answers: { 202: accepted },
    },
    async ({ tracker, caller, connection, params, origin }) =>
      acceptedTransfer(connection, given(await tracker.cancelTransfer(caller, params.id, origin)), false),
  );
}

function acceptedTransfer(connection: Call["connection"], made: Transfer, replayed: boolean): Response {
  return json(202, made, {
    location: `/v1/connections/${connection}/transfers/${made.id}`,
    ...(replayed && { "idempotency-replayed": "true" }),
  });
}
