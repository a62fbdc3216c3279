import { ProtocolError } from "../../protocols/lib/errors.ts";
import { admit, type AdmissionContext } from "../../protocols/record/codec.ts";

/** Why a replicated record may not be shown: the code of the first rule that it breaks, or `undefined`. */
export function refusal(record: Uint8Array, key: Uint8Array, context: AdmissionContext): string | undefined {
  try {
    admit(record, key, context);
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
}

/** A reason that time may cure: such a record is checked again whenever it is read. */
export const CURABLE = "clock_ahead";
