/** largestOf — the k largest values, largest first; NaN if any is. */
export function largestOf(values: ArrayLike<number>, k: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (Number.isNaN(value)) return new Array<number>(k).fill(NaN);
    if (found.length === k && value <= (found[k - 1] as number)) continue;
    const at = found.findIndex((other) => value > other);
    found.splice(at === -1 ? found.length : at, 0, value);
    if (found.length > k) found.pop();
  }
  return found;
}

/** lowerMedian — the middle value of an odd number of values, the lower of the two in the middle of an even number. Reorders `values`. */
export function lowerMedian(values: Float32Array | Float64Array): number {
  if (values.some(Number.isNaN)) return NaN;
  const middle = Math.floor((values.length - 1) / 2);
  let [low, high] = [0, values.length - 1];
  while (low < high) { // Hoare's selection: linear time on average
    const pivot = values[(low + high) >> 1] as number;
    let [i, j] = [low, high];
    while (i <= j) {
      while ((values[i] as number) < pivot) i++;
      while ((values[j] as number) > pivot) j--;
      if (i > j) continue;
      [values[i], values[j]] = [values[j] as number, values[i] as number];
      i++;
      j--;
    }
    if (middle <= j) high = j;
    else if (middle >= i) low = i;
    else break;
  }
  return values[middle] as number;
}
