/**
 * entityF1 — the F1 of named entities, as CoNLL-2003 counts them: one is right if its type, its first and its last word are. An entity begins
 * at `B-type`, or at `I-type` behind another type or none. Where no tag has such a form, the words with another tag than `O` count.
 */
export function entityF1(said: readonly (readonly string[])[], wanted: readonly (readonly string[])[]): number {
  const [found, real] = [said, wanted].map((sentences) => new Set(sentences.flatMap((tags, i) => entitiesOf(tags).map((entity) => `${i} ${entity}`)))) as [Set<string>, Set<string>];
  const right = [...found].filter((entity) => real.has(entity)).length;
  return found.size + real.size === 0 ? 1 : (2 * right) / (found.size + real.size);
}

function entitiesOf(tags: readonly string[]): string[] {
  const entities: string[] = [];
  let [start, type]: [number, string | undefined] = [0, undefined];
  const close = (end: number): void => { if (type !== undefined) entities.push(`${type} ${start} ${end}`); };
  tags.forEach((tag, i) => {
    const [, prefix, named] = /^([BI])-(.+)$/.exec(tag) ?? [];
    const kind = tag === 'O' ? undefined : named ?? tag;
    if (kind === type && kind !== undefined && prefix === 'I') return;
    close(i);
    [start, type] = [i, kind];
  });
  close(tags.length);
  return entities;
}
