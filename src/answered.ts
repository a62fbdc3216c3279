import { AskError } from "./actors/actor.ts";
import { NodeError } from "./api.ts";

/** What an actor answered; where it gave none, the error that those outside understand. @throws NodeError `stopped`, `overloaded` */
export async function answered<R>(answer: Promise<R>): Promise<R> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof AskError)) throw error;
    throw new NodeError(error.code === "stopped" ? "stopped" : "overloaded", error.message, { cause: error });
  }
}
