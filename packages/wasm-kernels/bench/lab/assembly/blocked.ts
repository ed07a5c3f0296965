// The loops around a packed micro-kernel. Depth in blocks of KC: a block of B in panels of `nr` columns (L2 cache), then row by row
// of tiles a panel of `mr` rows of A (L1), and the micro-kernel for each pair.

/** C[mr × nr] += panel of A (kc × mr) · panel of B (kc × nr); rows of C are `ldc` bytes apart. */
export type Micro = (kc: i32, a: usize, b: usize, c: usize, ldc: usize) => void;

const KC: i32 = 240;

export function blocked(a: usize, b: usize, c: usize, n: i32, scratch: usize, mr: i32, nr: i32, micro: Micro): void {
  const ldc = <usize>n << 2;
  const panelA = scratch;
  const packedB = scratch + (<usize>(KC * mr) << 2);
  for (let k0 = 0; k0 < n; k0 += KC) {
    const kc = min(KC, n - k0);
    let to = packedB;
    for (let j = 0; j < n; j += nr) {
      for (let k = k0; k < k0 + kc; k++, to += <usize>nr << 2) memory.copy(to, b + (<usize>(k * n + j) << 2), <usize>nr << 2);
    }
    for (let i = 0; i < n; i += mr) {
      packRows(a + (<usize>(i * n + k0) << 2), panelA, mr, kc, ldc);
      for (let j = 0; j < n; j += nr) micro(kc, panelA, packedB + (<usize>(j * kc) << 2), c + (<usize>(i * n + j) << 2), ldc);
    }
  }
}

/** `mr` rows of A, turned so that the floats of one k lie side by side. */
function packRows(from: usize, to: usize, mr: i32, kc: i32, row: usize): void {
  for (let k = 0; k < kc; k++, from += 4) {
    for (let i = 0; i < mr; i++, to += 4) store<f32>(to, load<f32>(from + <usize>i * row));
  }
}
