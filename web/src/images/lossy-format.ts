/** Formats of files that lose levels, whoever writes them. */
export type LossyFormat = "webp" | "avif" | "jpeg";

/** The usual quality of each, 1 to 100. */
export const QUALITY: Record<LossyFormat, number> = { webp: 90, avif: 80, jpeg: 92 };
