/** An upload that somebody asks for becomes a row. */
import type { Answer, Origin, Refusal } from "../../shared/contract/rpc.ts";
import type { Transfer, TransferRequest } from "../../shared/contract/transfer.ts";
import { viewTransfer } from "../../shared/domain/transfer.ts";
import { targetOf } from "../../shared/domain/upload.ts";
import { type Desk, invalid, newTransfer, type Prepared } from "./accept.ts";
import { type Actor, audit } from "./access.ts";
import { transferProblems } from "./examine.ts";
import { withSealedUrl } from "./source-url.ts";
import { insertTransfer, isKeyTaken } from "./transfers.ts";
import { startUpload } from "./uploads.ts";

export async function prepareUpload(
  desk: Desk,
  actor: Actor,
  request: TransferRequest,
  origin: Origin,
): Promise<Prepared<Transfer> | Refusal> {
  const { house, seal } = desk;
  const { account } = desk.site.config();
  const problems = transferProblems(desk, actor, request);
  if (problems.length > 0) return invalid(problems);

  const charged = request.account ?? account;
  const record = await withSealedUrl(house, seal, {
    ...newTransfer(house.id("tr"), actor, house.now()),
    warnings: [],
    direction: "upload",
    system: request.system,
    path: request.path,
    key: request.key ?? "",
    overwrite: request.overwrite ?? false,
    ...(request.url === undefined ? {} : { url: request.url }),
    ...(charged === undefined ? {} : { account: charged }),
    ...(request.verify === undefined ? {} : { verify: request.verify }),
  });
  const make = (): Answer<Transfer> => {
    if (isKeyTaken(house, targetOf(record)))
      return {
        ok: false,
        code: "conflict",
        detail: "Another upload is under way to the same file.",
        errors: [{ field: "/path", message: "is the target of another upload that has not ended" }],
      };
    insertTransfer(house, record);
    startUpload(house, record);
    audit(house, actor, "transfer.start", `transfers/${record.id}`, origin);
    return { ok: true, value: viewTransfer(record, house.name) };
  };
  return { ok: true, make };
}
