import { describe, expect, it } from 'vitest';
import { entityF1 } from '../src/finetune/entityF1.ts';

describe('entityF1(said, wanted)', () => {
  const wanted = [['B-PER', 'I-PER', 'O', 'B-LOC'], ['O', 'B-LOC', 'B-LOC']];

  it('is 1 for the same entities, also where they begin with I', () => {
    expect(entityF1(wanted, wanted)).toBe(1);
    expect(entityF1([['I-PER', 'I-PER', 'O', 'I-LOC'], ['O', 'I-LOC', 'B-LOC']], wanted)).toBe(1);
    expect(entityF1([['O']], [['O']])).toBe(1);
  });

  it('counts an entity as right only with its type and both of its ends', () => {
    expect(entityF1([['B-PER', 'O', 'O', 'B-LOC'], ['O', 'B-LOC', 'B-LOC']], wanted)).toBeCloseTo(3 / 4, 12); // the name is cut short
    expect(entityF1([['B-PER', 'I-PER', 'O', 'B-ORG'], ['O', 'B-LOC', 'I-LOC']], wanted)).toBeCloseTo((2 * 1) / (3 + 4), 12); // one type, and two that are one
  });

  it('counts words where tags have no B and I', () => {
    expect(entityF1([['NOUN', 'O'], ['NOUN', 'NOUN']], [['NOUN', 'VERB'], ['NOUN', 'NOUN']])).toBeCloseTo(6 / 7, 12);
  });
});
