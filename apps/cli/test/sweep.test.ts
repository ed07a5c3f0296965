import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { SweepResult } from '../src/sweep/sweepResult.ts';
import { evenkeel, evenkeelJson, launch, metricsOf, scratch, sentences } from './support/evenkeel.ts';

const files = scratch();
const data = files.write('corpus.txt', sentences());
const BASE = ['--data', data, '--device', 'wasm', '--depth', '1', '--num-heads', '2', '--context', '8', '--batch-size', '3', '--steps', '12', '--checkpoint-every', '3'];
const RATES = ['--learning-rates', '1e-3,1e-2,1e30'];
const VARY = ['--vary', 'plain:', '--vary', 'held: --qk-norm --sigma-reparam --placement post --dropout 0.1'];
const AXES = [...RATES, ...VARY, '--dims', '8,16'];
const sweep = (out: string, ...flags: string[]) => ['sweep', ...BASE, '--out', files.at(out), ...flags];
const run = async (out: string, ...flags: string[]) => await evenkeelJson(sweep(out, ...flags)) as unknown as SweepResult;
const resume = async (out: string) => await evenkeelJson(['sweep', '--out', files.at(out), '--resume']) as unknown as SweepResult;

/** All that does not depend on the clock or the place. */
const numbersOf = ({ out: _, runs, ...rest }: SweepResult) => ({ ...rest, runs: runs.map(({ msPerStep, ...numbers }) => ({ ...numbers, timed: msPerStep > 0 })) });

/** What a `sweep.json` holds, to be edited. */
type SweepResultRecord = { runs: { id: string; technique: string; settings: Record<string, unknown> }[] };

describe('evenkeel sweep', () => {
  let whole: SweepResult;
  beforeAll(async () => {
    whole = await run('whole', ...AXES);
  });

  it('sweep --json gives every run and what follows from them', () => {
    expect(whole).toMatchObject({
      command: 'sweep', out: files.at('whole'), device: 'wasm', data, steps: 12, tokensPerStep: 24, seed: 1, planned: 12, finished: 12,
      techniques: [{ name: 'plain', says: '' }, { name: 'held', says: '--qk-norm --sigma-reparam --placement post --dropout 0.1' }],
      sizes: [{ dim: 8, depth: 1 }, { dim: 16, depth: 1 }], learningRates: [1e-3, 1e-2, 1e30],
    });
    expect(whole.runs.map(({ id }) => id).slice(0, 4)).toEqual(['plain-dim8-depth1-lr0.001', 'plain-dim8-depth1-lr0.01', 'plain-dim8-depth1-lr1e+30', 'held-dim8-depth1-lr0.001']);
    for (const { loss, diverged, initialLoss, learningRate, steps } of whole.runs) {
      expect(diverged === null).toBe(learningRate < 1);
      expect(loss === null).toBe(learningRate > 1);
      expect(steps).toBe(learningRate < 1 ? 12 : (diverged?.step as number) - 1);
      if (learningRate === 1e-2) expect(loss).toBeLessThan(initialLoss);
    }
  });

  it('sweep counts a run that diverged as one that learned nothing', () => {
    for (const { technique, dim, sensitivity, initialLoss, diverged, best } of whole.groups) {
      const [a, b, c] = whole.runs.filter((each) => each.technique === technique && each.dim === dim).map(({ loss }) => loss);
      expect(c).toBeNull();
      const losses = [a, b, initialLoss].map((loss) => Math.min(loss as number, initialLoss as number));
      expect(sensitivity).toBeCloseTo(losses.reduce((sum, loss) => sum + loss, 0) / 3 - Math.min(...losses), 12);
      expect(diverged).toBe(1);
      expect(best).toEqual({ learningRate: 1e-2, loss: b });
    }
  });

  it('sweep draws the first values of a technique and size alike for every learning rate, and keeps entropies and logits', () => {
    const [slow, fast] = whole.runs as [SweepResult['runs'][number], SweepResult['runs'][number]];
    expect(slow.curves.loss[0]).toEqual(fast.curves.loss[0]);
    expect(slow.curves.loss.at(-1)).not.toEqual(fast.curves.loss.at(-1));
    for (const { entropy, maxLogit, logPartition } of [slow.curves, fast.curves]) {
      for (const curve of [entropy, maxLogit, logPartition]) expect(curve.map(([step]) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
      expect(entropy.every(([, value]) => value > 0 && value <= 1)).toBe(true);
    }
  });

  it('sweep leaves plan, results, page, tokenizer and the metrics of each run, and no states', () => {
    expect(readdirSync(files.at('whole')).sort()).toEqual(['results.json', 'results.jsonl', 'runs', 'state', 'sweep.html', 'sweep.json', 'tokenizer.json', 'tokenizer_config.json']);
    expect(readdirSync(files.at('whole/state'))).toEqual(['tokens.bin']);
    for (const { id } of whole.runs) expect(readdirSync(files.at(`whole/runs/${id}`))).toEqual(['metrics.jsonl']);
    expect(JSON.parse(readFileSync(files.at('whole/results.json'), 'utf8'))).toEqual(whole);
  });

  it('sweep writes a page with the losses, the sensitivities and the curves of each technique and size, which needs no network', () => {
    const page = readFileSync(files.at('whole/sweep.html'), 'utf8');
    for (const part of ['Loss by learning rate', 'Sensitivity by size', 'before training', 'held, dim 16', 'Attention entropy', 'Largest attention logit', '1e+30 (diverged)', 'diverged in step']) expect(page).toContain(part);
    expect(page).not.toMatch(/(src|href)="https?:|@import|url\(http|undefined/);
  });

  it('sweep gives a run the numbers that train gives it', async () => {
    await evenkeelJson(['train', ...BASE, '--dim', '16', '--qk-norm', '--sigma-reparam', '--placement', 'post', '--dropout', '0.1', '--learning-rate', '1e-2', '--out', files.at('alone')]);
    const losses = (directory: string) => metricsOf(directory).filter(({ kind }) => kind === 'step');
    expect(losses(files.at('whole/runs/held-dim16-depth1-lr0.01'))).toEqual(losses(files.at('alone')));
    const [last] = metricsOf(files.at('alone')).filter(({ kind }) => kind === 'eval').slice(-1);
    expect(whole.runs.find(({ id }) => id === 'held-dim16-depth1-lr0.01')?.loss).toBe(last?.['valLoss']);
  });

  it('sweep after kill -9 goes on with the run at work, bit for bit, and does not measure the others again', async () => {
    const { child, outcome } = launch(sweep('killed', ...AXES));
    const state = files.at('killed/runs/held-dim8-depth1-lr0.01/state');
    while (!(existsSync(state) && readdirSync(state).some((name) => name.startsWith('step-'))) && child.exitCode === null) await sleep(2);
    child.kill('SIGKILL');
    expect((await outcome).signal).toBe('SIGKILL');
    const finished = readFileSync(files.at('killed/results.jsonl'), 'utf8');
    expect(numbersOf(await resume('killed'))).toEqual(numbersOf(whole));
    expect(readFileSync(files.at('killed/results.jsonl'), 'utf8').startsWith(finished)).toBe(true);
  });

  it('sweep stops at Ctrl-C with a checkpoint, says how to go on, and the same command does', async () => {
    const { child, outcome } = launch(sweep('stopped', ...AXES));
    while (!existsSync(files.at('stopped/results.jsonl')) && child.exitCode === null) await sleep(2);
    child.kill('SIGINT');
    const { code, stderr, stdout } = await outcome;
    expect(code).toBe(130);
    expect(stdout).toContain('Stopping after this step, with a checkpoint');
    expect(stderr).toMatch(/^stopped in run \d+ of 12 after step \d+ of 12; go on with: pnpm evenkeel sweep --out \S+ --resume\n$/);
    expect(numbersOf(await run('stopped', ...AXES))).toEqual(numbersOf(whole));
  });

  it('sweep of a finished sweep measures nothing again and shows its table, in 80 columns', async () => {
    const before = readFileSync(files.at('whole/results.jsonl'));
    const { code, stdout, stderr } = await evenkeel(sweep('whole', ...AXES));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/12 of\s+them finished/);
    expect(stdout).toMatch(/^dim 16 +0\.001 +0\.01 +1e\+30 {2}sensitivity$/m);
    expect(stdout).toMatch(/^held +\d\.\d+ +\*\d\.\d+ +– +\d\.\d{3}$/m);
    expect(Math.max(...stdout.split('\n').filter((line) => !line.includes(files.path)).map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(readFileSync(files.at('whole/results.jsonl')).equals(before)).toBe(true);
  });

  it('sweep with a learning rate more measures that one alone', async () => {
    await run('grown', '--dim', '8', '--learning-rates', '1e-3');
    const first = readFileSync(files.at('grown/results.jsonl'), 'utf8');
    const { runs, groups } = await run('grown', '--dim', '8', '--learning-rates', '1e-3,1e-2');
    expect(runs.map(({ learningRate }) => learningRate)).toEqual([1e-3, 1e-2]);
    expect(groups[0]?.sensitivity).toBeGreaterThan(0);
    expect(readFileSync(files.at('grown/results.jsonl'), 'utf8').startsWith(first)).toBe(true);
  });

  it('sweep --config takes the same from a file, and flags before it', async () => {
    const config = files.write('sweep.json', JSON.stringify({
      data, device: 'wasm', depth: 1, numHeads: 2, context: 8, batchSize: 3, steps: 999, checkpointEvery: 3, learningRates: [1e-3, 1e-2, 1e30], dims: [8, 16],
      vary: { plain: {}, held: { qkNorm: true, sigmaReparam: true, placement: 'post', dropout: 0.1 } }, out: files.at('configured'),
    }));
    const { techniques, ...numbers } = numbersOf(await evenkeelJson(['sweep', '--config', config, '--steps', '12']) as unknown as SweepResult);
    expect(techniques.map(({ name }) => name)).toEqual(['plain', 'held']);
    expect(numbers).toEqual((({ techniques: __, ...rest }) => rest)(numbersOf(whole)));
  });

  it.each([
    ['other steps', [...AXES, '--steps', '13'], /--out must hold the same sweep, got --steps 13 \(the sweep has 12\) in .*whole; choose another --out/],
    ['a technique of another meaning', [...RATES, '--dims', '8,16', '--vary', 'plain: --z-loss 1e-4'], /got --z-loss 0\.0001 of plain \(the sweep has 0\)/],
    ['other data', ['--data', files.write('other.txt', sentences(300)), ...AXES], /got --data .*other\.txt \(the sweep has .*corpus\.txt\)/],
  ])('sweep into a sweep with %s is refused and changes nothing', async (_, flags, message) => {
    const before = readFileSync(files.at('whole/sweep.json'), 'utf8');
    const { code, stderr } = await evenkeel(sweep('whole', ...flags));
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(readFileSync(files.at('whole/sweep.json'), 'utf8')).toBe(before);
  });

  it('sweep --resume of an edited record or result names what is wrong', async () => {
    const record = readFileSync(files.at('whole/sweep.json'), 'utf8');
    writeFileSync(files.at('whole/sweep.json'), record.replace('"placement": "post"', '"placement": "top"'));
    expect((await evenkeel(['sweep', '--resume', '--out', files.at('whole')])).stderr).toMatch(/sweep\.json must be the record of a run, got "top" for runs\[3\]\.settings\.placement/);
    writeFileSync(files.at('whole/sweep.json'), record);
    const results = readFileSync(files.at('whole/results.jsonl'), 'utf8');
    writeFileSync(files.at('whole/results.jsonl'), results.replace('"dim":8', '"dim":"wide"'));
    expect((await evenkeel(['sweep', '--resume', '--out', files.at('whole')])).stderr).toMatch(/^error: line 1 of .*results\.jsonl must be the result of a run, got "wide" for dim\n$/);
    writeFileSync(files.at('whole/results.jsonl'), results);
  });

  it.each<[string, (record: SweepResultRecord) => void, RegExp]>([
    ['a technique that is none', ({ runs }) => { runs[3]!.technique = 'other'; }, /sweep\.json must be the record of a sweep in format 1, got "other" for runs\[3\]\.technique, which is none of its techniques\n$/],
    ['an id of another place', ({ runs }) => { runs[0]!.id = '../../elsewhere'; }, /got in runs\[0\]: the id of a run must be plain-dim8-depth1-lr0\.001, after technique, size and learning rate, got \.\.\/\.\.\/elsewhere\n$/],
    ['settings that do not fit', ({ runs }) => { runs[1]!.settings['warmup'] = 99; }, /got in runs\[1\]: --warmup must be ≤ 11 with --schedule cosine and --steps 12, got 99\n$/],
    ['no validation split', ({ runs }) => { runs[0]!.settings['valFraction'] = 0; }, /got in runs\[0\]: --val-fraction must be > 0 in a sweep/],
    ['one run of another length', ({ runs }) => { runs[5]!.settings['steps'] = 13; }, /--out must hold the same sweep, got --steps 13 \(the sweep has 12\)/],
  ])('sweep --resume of a record with %s says so and measures nothing', async (_, edit, message) => {
    const text = readFileSync(files.at('whole/sweep.json'), 'utf8');
    const record = JSON.parse(text) as SweepResultRecord;
    edit(record);
    writeFileSync(files.at('whole/sweep.json'), JSON.stringify(record));
    const { code, stderr } = await evenkeel(['sweep', '--resume', '--out', files.at('whole')]);
    writeFileSync(files.at('whole/sweep.json'), text);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(existsSync(files.at('elsewhere'))).toBe(false);
  });

  it.each([
    ['"curves":{"loss":', '"curves":{"cost":', /must be the result of a run, got \{"cost":.* for curves\n$/],
    ['"findings":[', '"findings":[null,', /must be the result of a run, got \[null.* for findings\n$/],
  ])('sweep --resume of a result without %s names the line', async (part, instead, message) => {
    const results = readFileSync(files.at('whole/results.jsonl'), 'utf8');
    expect(results).toContain(part);
    writeFileSync(files.at('whole/results.jsonl'), results.replace(part, instead).replace('[null,]', '[null]'));
    const { code, stderr } = await evenkeel(['sweep', '--resume', '--out', files.at('whole')]);
    writeFileSync(files.at('whole/results.jsonl'), results);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
