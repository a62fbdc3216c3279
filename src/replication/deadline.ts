import { FramesError, type Frames } from "../../protocols/lib/frames.ts";
import type { Clock } from "../ports/clock.ts";

/** The same frames, aborted when nothing comes (or can be sent) for `idleMs`, or when `signal` aborts. */
export function withDeadline(frames: Frames, clock: Clock, idleMs: number, signal?: AbortSignal): Frames {
  const guard = async <T>(work: Promise<T>): Promise<T> => {
    const onAbort = (): void => frames.abort(new FramesError("closed", "the work was cancelled"));
    const cancel = clock.after(idleMs, () => frames.abort(new FramesError("timeout", `nothing came for ${idleMs} ms`)));
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    try {
      return await work;
    } finally {
      cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  };
  return {
    send: (frame) => guard(frames.send(frame)),
    receive: () => guard(frames.receive()),
    close: () => frames.close(),
    abort: (reason) => frames.abort(reason),
  };
}
