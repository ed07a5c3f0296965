// Tile sizes of the matrix product. A packed panel of B (KC × NR) stays in the L1 cache, a block of A (≤ MC × KC) in L2.

/** Rows and columns of the register tile: 12 accumulators of four floats, two vectors of B and one of A fill 15 registers. */
export const MR: i32 = 6;
export const NR: i32 = 8;
/** Depth of a block: sums over k are taken in blocks of KC, in order, whatever the number of threads. */
export const KC: i32 = 256;
