import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, ShapeError } from '@evenkeel/core-tensor';
import { loadStateDict, matchStateDict, openStateDict, serializeSafetensors, writeSafetensors } from '@evenkeel/checkpoint';
import { describe, expect, it } from 'vitest';
import { f32, temporaryDirectory } from './helpers.ts';

/** A directory of two shards and their index, and a file outside it. */
function shardedDirectory(weightMap: unknown): string {
  const outside = temporaryDirectory();
  const directory = join(outside, 'model');
  mkdirSync(directory);
  writeFileSync(join(outside, 'secret.safetensors'), serializeSafetensors({ a: f32([1], 9) }));
  writeFileSync(join(directory, 'model-00001-of-00002.safetensors'), serializeSafetensors({ a: f32([1], 1), extra: f32([1], 5) }, { metadata: { format: 'pt' } }));
  writeFileSync(join(directory, 'model-00002-of-00002.safetensors'), serializeSafetensors({ b: f32([2], 2, 3) }));
  const index = typeof weightMap === 'string' ? weightMap : JSON.stringify({ metadata: { total_size: 12 }, weight_map: weightMap });
  writeFileSync(join(directory, 'model.safetensors.index.json'), index);
  return directory;
}
const shards = { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' };

describe('loadStateDict', () => {
  it('loadStateDict reads model.safetensors of a directory, and a file given by its path', async () => {
    const directory = temporaryDirectory();
    const file = join(directory, 'model.safetensors');
    await writeSafetensors(file, { a: f32([1], 1) });
    expect({ ...(await loadStateDict(directory)) }).toEqual({ a: f32([1], 1) });
    expect({ ...(await loadStateDict(file)) }).toEqual({ a: f32([1], 1) });
  });

  it('loadStateDict puts the shards of an index together', async () => {
    const directory = shardedDirectory(shards);
    const expected = { a: f32([1], 1), b: f32([2], 2, 3) };
    expect({ ...(await loadStateDict(directory)) }).toEqual(expected);
    expect({ ...(await loadStateDict(join(directory, 'model.safetensors.index.json'))) }).toEqual(expected);
    const open = await openStateDict(directory);
    expect(open.names).toEqual(['a', 'b']);
    expect({ ...open.metadata }).toEqual({ format: 'pt' });
    expect(open.info('b')).toEqual({ dtype: 'F32', shape: [2], byteLength: 8 });
    expect(() => open.info('extra')).toThrow('must name a tensor "extra"');
    await open.close();
  });

  it.each(['../secret.safetensors', '/etc/secret.safetensors', 'C:secret.safetensors', 'sub/x.safetensors', '..\\secret.safetensors', 'secret', '\0.safetensors'])(
    'loadStateDict refuses the shard %j',
    async (file) => {
      const message = 'weight_map must name .safetensors files of its own directory, got';
      await expect(loadStateDict(shardedDirectory({ ...shards, a: file }))).rejects.toThrow(message);
    },
  );

  it.each([
    ['{"weight_map":{"a":1}}', 'must be JSON with a string'],
    ['{"weight_map":{}}', 'must have a weight_map that names tensors, got none'],
    ['{}', 'must have a weight_map that names tensors, got none'],
    ['[]', 'must be JSON with "{"'],
    ['', 'must be JSON with "{"'],
    ['{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}', 'must hold each name once, got "a" twice'],
    [JSON.stringify({ weight_map: { c: shards.a } }), 'must hold a tensor "c", got none of that name'],
    [JSON.stringify({ weight_map: { a: 'model-00003-of-00002.safetensors' } }), 'no such file or directory (ENOENT)'],
  ])('loadStateDict of the index %s throws ConfigError', async (index, message) => {
    const error = await loadStateDict(shardedDirectory(index)).then(() => undefined, (thrown: Error) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error?.message).toContain(message);
    expect(error?.message).toMatch(/^loadStateDict: [^\n]*$/);
  });

  it('loadStateDict of a path without a checkpoint says what is missing', async () => {
    const directory = temporaryDirectory();
    await expect(loadStateDict(join(directory, 'none'))).rejects.toThrow('must be a checkpoint, got no such file or directory');
    await expect(loadStateDict(directory)).rejects.toThrow('must hold model.safetensors or model.safetensors.index.json, got neither');
  });
});

describe('matchStateDict', () => {
  const expected = [{ name: 'wte.weight', shape: [65, 8] }, { name: 'ln_f.weight', shape: [8] }, { name: 'ln_f.bias', shape: [8] }];
  const actual = { 'wte.weight': { shape: [65, 8] }, 'ln_f.weight': { shape: [8] }, 'ln_f.bias': { shape: [8] } };

  it('matchStateDict of equal names and shapes reports them all as matched', () => {
    expect(matchStateDict(expected, actual)).toEqual({ matched: ['wte.weight', 'ln_f.weight', 'ln_f.bias'], missing: [], unexpected: [] });
  });

  it('matchStateDict lists missing, unexpected and mismatched tensors in one line', () => {
    const other = { 'wte.weight': { shape: [50257, 8] }, 'ln_f.weight': { shape: [8] }, 'attn.bias': { shape: [1] } };
    expect(() => matchStateDict(expected, other, { where: 'gpt: runs/a' })).toThrow(new ConfigError(
      'gpt: runs/a: the checkpoint must hold the model\'s 3 tensors, got missing (1): "ln_f.bias"; unexpected (1): "attn.bias"; ' +
      'shapes (1): "wte.weight" must have shape [65, 8], got [50257, 8]',
    ));
  });

  it('matchStateDict names at most eight tensors of a kind', () => {
    const many = Array.from({ length: 30 }, (_, i) => ({ name: `h.${i}.weight`, shape: [1] }));
    expect(() => matchStateDict(many, {})).toThrow(/missing \(30\): "h\.0\.weight", .*"h\.7\.weight", … and 22 more$/);
  });

  it('matchStateDict({ strict: false }) reports names and still refuses another shape', () => {
    const other = { 'ln_f.weight': { shape: [8] }, 'attn.bias': { shape: [1] } };
    expect(matchStateDict(expected, other, { strict: false })).toEqual({ matched: ['ln_f.weight'], missing: ['wte.weight', 'ln_f.bias'], unexpected: ['attn.bias'] });
    expect(() => matchStateDict(expected, { 'ln_f.weight': { shape: [9] } }, { strict: false })).toThrow(ShapeError);
    expect(() => matchStateDict(expected, { 'ln_f.weight': { shape: [8, 1] } }, { strict: false })).toThrow('"ln_f.weight" must have shape [8], got [8, 1]');
  });

  it('matchStateDict does not take inherited properties for tensors', () => {
    expect(matchStateDict([{ name: 'toString', shape: [] }], {}, { strict: false }).missing).toEqual(['toString']);
  });
});
