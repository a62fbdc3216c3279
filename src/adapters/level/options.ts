/**
 * How the engine is tuned, for a million records of 580 bytes written in batches of 256 while memory stays low
 * (`bench/store.ts` prints the alternatives). Sizes in bytes.
 */

/** One write buffer; two are held while one of them is flushed. Four times the engine's default halves the write amplification. */
export const WRITE_BUFFER_BYTES: number = 16 * 1_048_576;

/** Uncompressed blocks kept for reads. */
export const BLOCK_CACHE_BYTES: number = 16 * 1_048_576;

/** A table file. With OPEN_FILES_MAX it bounds what the engine maps into memory: about 256 MiB. */
export const TABLE_FILE_BYTES: number = 4 * 1_048_576;
export const OPEN_FILES_MAX = 64;

/** A block is what one read decodes: about seven records of 580 bytes. */
export const BLOCK_BYTES = 4_096;

/** Snappy: records are JSON, so it halves what is written and compacted, which costs less than it takes. */
export const COMPRESSION = true;

/** Bytes that an iterator collects before it hands over a chunk. */
export const SCAN_CHUNK_BYTES: number = 524_288;

export interface LevelOptions {
  readonly writeBufferSize: number;
  readonly cacheSize: number;
  readonly maxFileSize: number;
  readonly maxOpenFiles: number;
  readonly blockSize: number;
  readonly compression: boolean;
}

export const LEVEL_OPTIONS: LevelOptions = {
  writeBufferSize: WRITE_BUFFER_BYTES,
  cacheSize: BLOCK_CACHE_BYTES,
  maxFileSize: TABLE_FILE_BYTES,
  maxOpenFiles: OPEN_FILES_MAX,
  blockSize: BLOCK_BYTES,
  compression: COMPRESSION,
};
