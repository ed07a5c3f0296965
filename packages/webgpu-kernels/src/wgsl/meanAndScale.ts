import { rowLoop } from './rowReduce.ts';

/**
 * meanAndScale — for `main`, from the `total` of this thread's share of a row: `mean`, and `scale` = 1/√(variance + eps). The squares
 * are those of what is left without the mean; what that adds up to, 0 but for rounding, puts the mean right to its last place.
 * Calls `lanes`, `rowSum` and, on vec2f, `rowSums`.
 *
 * Source: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", the corrected two-pass algorithm.
 *
 * @param value  the number or vec4f of the row at `i`, of the type `element`.
 */
export function meanAndScale(threads: number, element: string, value: string): string {
  return /* wgsl */ `
    let roughMean = rowSum(lanes(total), localIndex) / u.channels;
    var squares = ${element}(0.0);
    var left = ${element}(0.0);
    ${rowLoop(threads, `let d = ${value} - roughMean; squares += d * d; left += d;`)}
    let moments = rowSums(vec2f(lanes(squares), lanes(left)), localIndex) / u.channels;
    let mean = roughMean + moments.y;
    let variance = moments.x - moments.y * moments.y;
    let scale = inverseSqrt(select(variance, 0.0, variance < 0.0) + u.eps);`;
}
