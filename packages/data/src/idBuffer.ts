/** IdBuffer — token ids that grow. */
export type IdBuffer = { push(id: number): void; append(ids: ArrayLike<number>): void; finish(): Int32Array };

/** idBuffer — an empty buffer; `finish` gives an array of the exact length. */
export function idBuffer(capacity = 1024): IdBuffer {
  let ids = new Int32Array(Math.max(16, capacity));
  let length = 0;
  const reserve = (more: number): void => {
    if (length + more <= ids.length) return;
    const larger = new Int32Array(Math.max(length + more, ids.length * 2));
    larger.set(ids);
    ids = larger;
  };
  return {
    push: (id) => {
      reserve(1);
      ids[length++] = id;
    },
    append: (more) => {
      reserve(more.length);
      for (let i = 0; i < more.length; i++) ids[length++] = more[i] as number;
    },
    finish: () => ids.slice(0, length),
  };
}
