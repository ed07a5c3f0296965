/** Heap — hands out its items in order, whatever the order they came in. */
export type Heap<T> = { push(item: T): void; /** Removes the first item; `undefined` when empty. */ pop(): T | undefined };

/** heap — a binary heap; `isBefore(a, b)` says whether `a` comes out before `b`. */
export function heap<T>(isBefore: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = [];
  const push = (item: T): void => {
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(item, items[parent] as T)) break;
      items[at] = items[parent] as T;
      at = parent;
    }
    items[at] = item;
  };
  const pop = (): T | undefined => {
    const top = items[0];
    const last = items.pop();
    if (items.length === 0) return top;
    sink(items, last as T, isBefore);
    return top;
  };
  return { push, pop };
}

/** Lets `item` sink from the top, which is free, to where it belongs. */
function sink<T>(items: T[], item: T, isBefore: (a: T, b: T) => boolean): void {
  let at = 0;
  for (let child = 1; child < items.length; child = 2 * at + 1) {
    if (child + 1 < items.length && isBefore(items[child + 1] as T, items[child] as T)) child++;
    if (!isBefore(items[child] as T, item)) break;
    items[at] = items[child] as T;
    at = child;
  }
  items[at] = item;
}
