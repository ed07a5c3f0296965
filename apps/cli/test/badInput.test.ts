import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { evenkeel, evenkeelJson, metricsOf, scratch, sentences, TINY, type RunOptions } from './support/evenkeel.ts';
import { fullDisk } from './support/fullDisk.ts';

const files = scratch();
const data = files.write('corpus.txt', sentences());
const OUT = files.at('out');

/** The command must fail with one line that matches, no stack trace and no result. */
async function expectFailure(args: readonly string[], message: string | RegExp, code = 2, options: RunOptions = {}): Promise<void> {
  const outcome = await evenkeel(args, options);
  expect(outcome.stderr).toMatch(/^error: [^\n]+\n$/);
  expect(outcome.stderr).toMatch(message);
  expect(outcome.stderr).not.toMatch(/^error: unexpected|\.ts:\d|\bat [\w.]+ \(/);
  expect(outcome.stdout).not.toContain('{');
  expect(outcome.code).toBe(code);
}

const train = (...flags: string[]) => ['train', 'gpt', ...TINY, '--steps', '4', '--out', OUT, ...flags];

describe('a wrong command line', () => {
  it.each([
    ['evenkeel trian', ['trian'], /unknown command 'trian' \(Did you mean train\?\)/],
    ['evenkeel train gtp', ['train', 'gtp'], /unknown command 'gtp' \(Did you mean gpt\?\)/],
    ['evenkeel train --step', ['train', '--step', '3'], /unknown option '--step' \(Did you mean (one of )?--steps/],
    ['evenkeel eval --chekpoint', ['eval', '--chekpoint', 'x'], /unknown option '--chekpoint' \(Did you mean --checkpoint\?\)/],
    ['evenkeel train gpt corpus.txt', ['train', 'gpt', data], /too many arguments/],
    ['evenkeel eval', ['eval'], /evenkeel eval needs --checkpoint; see evenkeel eval --help/],
    ['evenkeel generate without a prompt', ['generate', '--checkpoint', 'x'], /evenkeel generate needs --prompt/],
    ['evenkeel eval --data --tokens', ['eval', '--checkpoint', 'x', '--data', 'a', '--tokens', 'b'], /eval needs one of --data and --tokens/],
    ['evenkeel train --steps 1.5', ['train', '--steps', '1.5'], /--steps must be a whole number ≥ 1 .*got 1\.5/],
    ['evenkeel train --device gpu', ['train', '--device', 'gpu'], /--device must be one of auto, wasm, webgpu, cpu, got gpu/],
    ['evenkeel train --tune on wasm', train('--data', data, '--device', 'wasm', '--tune'), /--tune must be used with the webgpu device, got wasm/],
    ['evenkeel train --dim 10', train('--data', data, '--dim', '10', '--num-heads', '4'), /--dim must be divisible by --num-heads, got 10 and 4/],
  ])('%s is one line and exit code 2', async (_, args, message) => {
    await expectFailure(args, message);
  });

  it('evenkeel without a command prints the help and ends with 2', async () => {
    const { code, stderr } = await evenkeel([]);
    expect(code).toBe(2);
    expect(stderr).toContain('Usage: evenkeel');
  });
});

describe('train gpt with sizes that no device can hold', () => {
  it.each([
    ['--depth', '2147483647', /got 2147483647, 16, 8 and 3: 7,\d{3},\d{3},\d{3},\d{3} parameters, and at least \d+ TiB for a step/],
    ['--dim', '2147483646', /got 1, 2147483646, 8 and 3: /],
    ['--batch-size', '2147483647', /got 1, 16, 8 and 2147483647: .* at least \d+ TiB/],
    ['--context', '1000000000', /got 1, 16, 1000000000 and 3: /],
    ['--depth', '1000000', /got 1000000, 16, 8 and 3: /],
  ])('train gpt %s %s is one line at once, with the numbers, and leaves no directory', async (flag, value, message) => {
    const start = performance.now();
    await expectFailure(train('--data', data, flag, value), message);
    expect(performance.now() - start).toBeLessThan(20_000);
    expect(existsSync(OUT)).toBe(false);
  });
});

describe('train gpt with data it cannot learn from', () => {
  mkdirSync(files.at('empty'));
  it.each([
    ['that is missing', files.at('missing.txt'), /missing\.txt must be .*no such file/, 1],
    ['that is empty', files.write('empty.txt', ''), /empty\.txt must hold text, got an empty file/, 1],
    ['that is an empty directory', files.at('empty'), /empty must hold text files, got no file at all/, 1],
    ['shorter than the context', files.write('short.txt', 'abcdefgh'), /--data must hold at least 9 tokens for --context 8.*got 7/, 2],
    ['with zero bytes', files.write('binary.bin', Uint8Array.from([65, 66, 0, 1, 2, 67])), /zero byte at 2\. Is it a binary file\?/, 1],
    ['that is not UTF-8', files.write('latin1.txt', Buffer.from('café '.repeat(50), 'latin1')), /must be UTF-8 text, got an invalid byte near [34]/, 1],
  ] as const)('train gpt with data %s ends with one line and leaves no directory', async (_, path, message, code) => {
    await expectFailure(train('--data', path), message, code);
    expect(existsSync(OUT)).toBe(false);
  });

  it('train gpt --val-fraction 0.001 of a small text says that too little is left to validate', async () => {
    await expectFailure(train('--data', files.write('small.txt', sentences(10)), '--val-fraction', '0.001'), /--val-fraction must leave at least 2 tokens/);
    expect(existsSync(OUT)).toBe(false);
  });

  it('train gpt --out on a file is one line', async () => {
    await expectFailure(['train', 'gpt', ...TINY, '--data', data, '--out', data], /--out must be a directory, got the file/);
  });

  it('train gpt --tokenizer with a broken tokenizer.json is one line', async () => {
    await expectFailure(train('--data', data, '--tokenizer', files.write('tokenizer.json', '{"model":')), /tokenizer\.json must be JSON/, 1);
    await expectFailure(train('--data', data, '--tokenizer', files.at('none.json')), /none\.json/, 1);
    expect(existsSync(OUT)).toBe(false);
  });
});

describe('a checkpoint that is wrong', () => {
  const run = files.at('run');
  beforeAll(async () => {
    await evenkeelJson(['train', 'gpt', '--data', data, ...TINY, '--steps', '2', '--out', run]);
  });

  const evaluate = (directory: string, ...flags: string[]) => ['eval', '--checkpoint', directory, '--device', 'wasm', ...(flags.length > 0 ? flags : ['--data', data])];

  /** A copy of the run with one of its files changed. */
  function copyWith(name: string, file: string, change: (bytes: Buffer) => string | Uint8Array): string {
    cpSync(run, files.at(name), { recursive: true });
    writeFileSync(files.at(`${name}/${file}`), change(existsSync(files.at(`${name}/${file}`)) ? readFileSync(files.at(`${name}/${file}`)) : Buffer.alloc(0)));
    return files.at(name);
  }

  /** model.safetensors with its header rewritten, the length before it corrected. */
  const withHeader = (change: (header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>) => void) => (bytes: Buffer): Buffer => {
    const length = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Parameters<typeof change>[0];
    change(header);
    const text = Buffer.from(JSON.stringify(header));
    const start = Buffer.alloc(8);
    start.writeBigUInt64LE(BigInt(text.length));
    return Buffer.concat([start, text, bytes.subarray(8 + length)]);
  };
  const WPE = 'transformer.wpe.weight';
  type Offsets = { data_offsets: number[] };

  it.each([
    ['truncated', (bytes: Buffer) => bytes.subarray(0, bytes.length - 100), /Is it truncated\?/],
    ['empty', () => '', /got 0 bytes/],
    ['with a header of 2^60 bytes', (bytes: Buffer) => { bytes.writeBigUInt64LE(2n ** 60n); return bytes; }, /must have a header of at most 100000000 bytes/],
    ['with overlapping tensors', withHeader((header) => { (header[WPE] as Offsets).data_offsets = [0, 8 * 16 * 4]; }), /overlap|hole/],
    ['with a length that is not its shape', withHeader((header) => { (header[WPE] as { shape: number[] }).shape = [2 ** 40, 16]; }), /must have \d+ bytes for F32/],
    ['with an unknown dtype', withHeader((header) => { (header[WPE] as { dtype: string }).dtype = 'F99'; }), /dtype of .* must be one of the format/],
    ['that lacks a tensor', withHeader((header) => { header['other'] = header[WPE] as never; delete header[WPE]; }), /wpe\.weight/],
  ])('eval of a model.safetensors %s is one line', async (name, change, message) => {
    await expectFailure(evaluate(copyWith(name, 'model.safetensors', change)), message, 1);
  });

  it('eval of a checkpoint whose config.json has other sizes names a tensor and both shapes', async () => {
    const directory = copyWith('other-shape', 'config.json', (bytes) => bytes.toString().replace('"n_embd": 16', '"n_embd": 32'));
    await expectFailure(evaluate(directory), /\[.*32.*\].*\[.*16.*\]/, 1);
  });

  it('eval of a config.json that is no GPT-2 names the field', async () => {
    await expectFailure(evaluate(copyWith('llama', 'config.json', () => '{"model_type":"llama"}')), /config\.json must be a GPT-2 configuration, got model_type/, 1);
    await expectFailure(evaluate(copyWith('bert', 'config.json', () => '{"model_type":"bert"}')), /--checkpoint must be a GPT, got a model that reads texts, such as BERT, in .*bert: use predict/);
  });

  it('eval of a directory without a model says what is missing', async () => {
    await expectFailure(evaluate(files.at('nowhere')), /got .*nowhere, which does not exist/);
    await expectFailure(evaluate(data), /got the file .*corpus\.txt/);
    await expectFailure(evaluate(files.path), /which has no config\.json/);
  });

  it('eval --data and generate of a directory without a tokenizer say so', async () => {
    const directory = copyWith('wordless', 'README', () => '');
    rmSync(`${directory}/tokenizer.json`);
    await expectFailure(evaluate(directory), /eval --data needs a tokenizer, got .*wordless, which has no tokenizer\.json/);
    await expectFailure(['generate', '--checkpoint', directory, '--prompt', 'a'], /generate needs a tokenizer/);
  });

  it('eval --data with a character that the tokenizer lacks names it and its place', async () => {
    const text = files.write('foreign.txt', `${sentences(2)}naïve`);
    await expectFailure(evaluate(run, '--data', text), /got "ï" \(U\+00EF\) at position \d+, line 3/, 1);
    await expectFailure(['train', 'gpt', ...TINY, '--data', text, '--tokenizer', `${run}/tokenizer.json`, '--out', OUT], /got "ï"/, 1);
    expect(existsSync(OUT)).toBe(false);
  });

  it('generate --prompt with a character that the tokenizer lacks names it', async () => {
    await expectFailure(['generate', '--checkpoint', run, '--prompt', 'the Ω', '--device', 'wasm'], /got "Ω" \(U\+03A9\) at position 4/, 1);
  });

  it.each([
    ['no array', '{"a": 1}', /got object in/],
    ['an empty array', '[]', /got an empty array in/],
    ['unequal lengths', '[[1,2,3],[1,2]]', /got 2 ids at \[1\] after 3/],
    ['a fraction', '[[1,2.5]]', /got 2\.5 at \[0\]\[1\]/],
    ['one id per array', '[[1],[2]]', /got 1 ids at \[0\]/],
    ['an id beyond the vocabulary', '[[1,999]]', /must be below the model's vocabulary size \d+, got 999/],
    ['more ids than the context', JSON.stringify([Array.from({ length: 10 }, () => 1)]), /at most 9 ids/],
  ])('eval --tokens with %s is one line', async (name, json, message) => {
    await expectFailure(evaluate(run, '--tokens', files.write(`${name}.json`, json)), message);
  });

  it('eval --tokens with text that is no JSON is one line', async () => {
    await expectFailure(evaluate(run, '--tokens', data), /corpus\.txt must be JSON/, 1);
  });

  it('train gpt --resume with the state of another model names what differs', async () => {
    const directory = copyWith('other-run', 'run.json', (bytes) => bytes.toString().replace('"dim": 16', '"dim": 32'));
    await expectFailure(['train', 'gpt', '--out', directory, '--resume'], /dim: 16 in the checkpoint, 32 now\. What .*other-run holds of step 1 and 2 was left as it is\./, 1);
  });

  it.each([
    ['null', () => 'null', /run\.json must be the record of a run in format 1, got "something else"/],
    ['settings null', (text: string) => JSON.stringify({ ...JSON.parse(text) as object, settings: null }), /run\.json must be the record of a run, got null for settings/],
    ['no seed', (text: string) => text.replace(/"seed": \d+,?/, ''), /got nothing for settings\.seed/],
    ['a text for depth', (text: string) => text.replace(/"depth": \d+/, '"depth": "deep"'), /got "deep" for settings\.depth/],
    ['another device', (text: string) => text.replace('"wasm"', '"abacus"'), /got "abacus" for device/],
  ] as const)('train gpt --resume of a run.json with %s is one line that names the field', async (name, change, message) => {
    const directory = copyWith(`record-${name}`, 'run.json', (bytes) => change(bytes.toString()));
    await expectFailure(['train', 'gpt', '--out', directory, '--resume'], message);
  });

  it('eval --debug prints the stack trace after the line', async () => {
    const { code, stderr } = await evenkeel([...evaluate(copyWith('traced', 'model.safetensors', () => 'no')), '--debug']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: [^\n]+\nConfigError: [^]+\n +at /);
  });
});

describe('a run that fails on its way', () => {
  it('train gpt whose loss becomes NaN stops at that step and leaves the last good checkpoint', async () => {
    const args = ['train', 'gpt', '--data', data, ...TINY, '--learning-rate', '1e30', '--warmup', '0', '--checkpoint-every', '1', '--steps', '50', '--out', OUT];
    await expectFailure(args, /must be finite, got (NaN|-?Infinity).* The checkpoint of step \d+ in .*out is intact\./, 1);
    expect(readFileSync(`${OUT}/report.html`, 'utf8')).toContain('<svg');
    await expectFailure(['eval', '--checkpoint', OUT, '--data', data, '--device', 'wasm'], /loss must be finite/, 1); // whole, but exploded
  });

  it('train gpt on a disk that fills up keeps the last checkpoint, leaves no part of another, and can go on', async () => {
    const disk = fullDisk(files.at('disk'), 180 * 1024);
    const directory = `${disk.path}/run`;
    const flags = ['--data', data, ...TINY, '--steps', '40', '--checkpoint-every', '5'];
    await expectFailure(['train', 'gpt', ...flags, '--out', directory], /no space left on .*(The checkpoint of step \d+ in .*run is intact|No checkpoint had been written)\./, 1, disk.options());
    expect(readdirSync(directory, { recursive: true }).filter((name) => String(name).includes('.tmp'))).toEqual([]);
    expect(await evenkeelJson(['eval', '--checkpoint', directory, '--data', data, '--device', 'wasm'])).toMatchObject({ loss: expect.any(Number) as number });
    disk.grow();
    await evenkeelJson(['train', 'gpt', '--out', directory, '--resume'], disk.options());
    await evenkeelJson(['train', 'gpt', ...flags, '--out', files.at('undisturbed')]);
    expect(metricsOf(directory)).toEqual(metricsOf(files.at('undisturbed')));
  });

  it('train gpt on a disk that is full from the start leaves nothing behind', async () => {
    const disk = fullDisk(files.at('full'), 100);
    await expectFailure(['train', 'gpt', '--data', data, ...TINY, '--steps', '4', '--out', `${disk.path}/run`], /no space left/, 1, disk.options());
    expect(readdirSync(disk.path)).toEqual([]);
  });
});
