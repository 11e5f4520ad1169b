/** Formats of files that lose levels, whoever writes them. */
export type LossyFormat = "webp" | "jpeg";

/** The usual quality of each, 1 to 100. */
export const QUALITY: Record<LossyFormat, number> = { webp: 90, jpeg: 92 };
