import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { charTokenizer, loadTokenizer, tokenizerFromJson, trainBpe } from '@evenkeel/data';
import { describe, expect, it } from 'vitest';
import { golden } from './golden.ts';
import { directoryWith, isOurs, picker } from './helpers.ts';

const MUTATIONS = 10_000;
const words = { model: { type: 'WordLevel', unk_token: '?', vocab: { '?': 0, the: 1, king: 2 } }, pre_tokenizer: { type: 'WhitespaceSplit' }, added_tokens: [] };
const unigram = {
  model: { type: 'Unigram', unk_id: 0, vocab: [['<unk>', 0], ['▁', -2], ['a', -1], ['▁the', -1.5], ['n', -3]] },
  normalizer: { type: 'Sequence', normalizers: [{ type: 'NFKC' }, { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }] },
  pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' }, decoder: { type: 'Metaspace', replacement: '▁' },
};
const fixed = {
  model: { type: 'BPE', unk_token: '?', vocab: { '?': 0, a: 1, b: 2, ab: 3 }, merges: [['a', 'b']] },
  pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'FixedLength', length: 5 }, { type: 'Split', pattern: { String: ' ' }, behavior: 'Removed' }, { type: 'Digits', individual_digits: true }] },
  decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '_' }, content: ' ' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }, { type: 'Fuse' }] },
  post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: '?', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }], pair: [] },
};
const originals = [
  charTokenizer('the king!').json, trainBpe(golden.text, { vocabSize: 280, specialTokens: ['<|end|>'] }).json,
  golden.wordPiece.json, words, unigram, fixed,
].map((json) => JSON.stringify(json));

const values: unknown[] = [null, true, 0, -1, 1, 7, 2 ** 24, 2 ** 32 - 2, 2 ** 53, 1e308, 0.5, '', 'a', '\ud800', ' ', '<|end|>', [], [1], ['a', 'b'], {}, { type: 'Sequence' }, { type: 'BPE' }, { Regex: '' }, { String: '' }, { Regex: '[' }];
const types = ['Fuse', 'ByteLevel', 'Split', 'FixedLength', 'Strip', 'Replace', 'BPE', 'WordPiece', 'Unigram', 'WordLevel', 'Metaspace', 'NFC', 'CTC', 'Prepend', 'ByteFallback', 'Lowercase'];
const snippets = ['{', '}', '[', ']', '"', ',', ':', '\\', '[[', '{"a":', '9'.repeat(400), '\ud83d', '\0', '['.repeat(1000)];

type Pick = (n: number) => number;
type Node = { [key: string]: unknown };

/** A random inner node of a JSON value. */
function randomNode(root: Node, pick: Pick): Node {
  let node = root;
  for (let depth = 1 + pick(5); depth > 0; depth--) {
    const children = Object.values(node).filter((child): child is Node => typeof child === 'object' && child !== null);
    if (children.length === 0) return node;
    node = children[pick(children.length)] as Node;
  }
  return node;
}

/** Changes in the parsed value: another value, a member removed, renamed, doubled, or another type. */
function mutateValue(text: string, pick: Pick): string {
  const root = JSON.parse(text) as Node;
  for (let rounds = 1 + pick(3); rounds > 0; rounds--) {
    const node = randomNode(root, pick);
    const keys = Object.keys(node);
    const key = keys[pick(keys.length)] ?? 'type';
    const kind = pick(5);
    if (kind === 0) delete node[key];
    else if (kind === 1) node[`${key}x`] = node[key];
    else if (kind === 2 && 'type' in node) node['type'] = types[pick(types.length)];
    else if (kind === 3) node[key] = randomNode(root, pick) === root ? structuredClone(values[pick(values.length)]) : JSON.parse(JSON.stringify(randomNode(root, pick)));
    else node[key] = structuredClone(values[pick(values.length)]);
  }
  return JSON.stringify(root);
}

/** Changes in the text: cut, inserted, overwritten. */
function mutateText(text: string, pick: Pick): string {
  const at = pick(text.length);
  if (pick(4) === 0) return text.slice(0, at);
  return text.slice(0, at) + (pick(2) === 0 ? (snippets[pick(snippets.length)] as string) : '') + text.slice(at + pick(4));
}

const sample = 'the king! aab 日本 <|end|> é_\n\u0000 12';

/** Uses a tokenizer that was accepted, within what its own errors allow. */
function use(json: string): 'used' | 'refused' {
  try {
    const { encode, decode, vocabSize } = tokenizerFromJson(JSON.parse(json));
    if (!(Number.isSafeInteger(vocabSize) && vocabSize > 0 && vocabSize <= 2 ** 24)) throw new Error(`vocabSize ${vocabSize}`);
    const ids = encode(sample);
    if (ids.some((id) => id < 0 || id >= vocabSize)) throw new Error(`ids beyond ${vocabSize}`);
    decode(ids);
    return 'used';
  } catch (error) {
    if (error instanceof SyntaxError && !isJson(json)) return 'refused';
    if (!isOurs(error)) throw error;
    if (!/^\w+: [^\n]{10,1000}$/.test((error as Error).message)) throw new Error(`not one clear line: ${(error as Error).message}`, { cause: error });
    return 'refused';
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('damaged tokenizer files', () => {
  it(`tokenizerFromJson(${MUTATIONS} mutated files), encode and decode work or throw one clear line, quickly and in little memory`, () => {
    const before = process.memoryUsage().rss;
    const outcomes = { used: 0, refused: 0 };
    for (let i = 0; i < MUTATIONS; i++) {
      const pick = picker(3, i);
      const original = originals[i % originals.length] as string;
      const mutated = pick(5) === 0 ? mutateText(original, pick) : mutateValue(original, pick);
      const started = performance.now();
      try {
        outcomes[use(mutated)]++;
      } catch (error) {
        throw new Error(`mutation ${i}: ${String(error)}`, { cause: error });
      }
      if (performance.now() - started > 5000) throw new Error(`mutation ${i}: took more than five seconds`);
    }
    expect(outcomes.used).toBeGreaterThan(MUTATIONS / 20);
    expect(outcomes.refused).toBeGreaterThan(MUTATIONS / 20);
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 2 ** 20);
  });

  it('loadTokenizer of 300 mutated files throws errors that name the path', async () => {
    const file = join(directoryWith(), 'tokenizer.json');
    for (let i = 0; i < 300; i++) {
      const pick = picker(4, i);
      writeFileSync(file, mutateText(originals[i % originals.length] as string, pick));
      const error = await loadTokenizer(file).then(() => undefined, (thrown: Error) => thrown);
      if (error === undefined) continue;
      expect(isOurs(error)).toBe(true);
      expect(error.message).toMatch(new RegExp(`^loadTokenizer: ${file}[^\n]+$`));
    }
  });
});
